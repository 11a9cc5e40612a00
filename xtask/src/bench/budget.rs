//! How much time a run may take, and what each part has of it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// A part, and seconds that it takes on two cores: alone, and with two peers. Their sums, 19 and 34 minutes, leave the rest of
/// the default budget to builds. A program that takes longer is ended when the budget is; `core` is the last, because what it has
/// measured until then is kept.
pub(super) const PLANS: [(&str, u64, u64); 6] = [
    ("ingest", 60, 260),
    ("simulate", 160, 160),
    ("query", 170, 590),
    ("disk", 90, 230),
    ("k8s", 60, 190),
    ("core", 600, 600),
];

/// Minutes of a run unless told otherwise.
pub(super) const MINUTES: u64 = 40;

/// Less than this share of its time makes a part worthless.
const SHARE_MIN: f64 = 0.3;

/// The time of a run.
pub(super) struct Budget {
    begun: Instant,
    all: Duration,
    peers: bool,
}

impl Budget {
    /// So many minutes from now on.
    pub(super) fn new(minutes: u64, peers: bool) -> Self {
        Self { begun: Instant::now(), all: Duration::from_secs(minutes * 60), peers }
    }

    pub(super) fn spent(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.all.saturating_sub(self.spent())
    }

    /// Which share of its planned time the first of the parts that are left may take, 1 at most.
    ///
    /// # Errors
    ///
    /// If it is too little.
    pub(super) fn share(&self, left: &[&str]) -> anyhow::Result<f64> {
        let part = left.first().context("no part is left")?;
        let share = share(self.left(), planned(left, self.peers));
        ensure!(
            share >= SHARE_MIN,
            "{part}: {:.0} of {:.0} minutes are over, and what is left is planned to take {:.0}: more --budget, or fewer parts",
            self.spent().as_secs_f64() / 60.0,
            self.all.as_secs_f64() / 60.0,
            planned(left, self.peers).as_secs_f64() / 60.0
        );
        Ok(share)
    }
}

/// How long parts take.
fn planned(parts: &[&str], peers: bool) -> Duration {
    let of = |part: &&str| {
        PLANS.iter().find(|(name, ..)| name == part).map_or(0, |plan| if peers { plan.2 } else { plan.1 })
    };
    Duration::from_secs(parts.iter().map(of).sum())
}

fn share(left: Duration, planned: Duration) -> f64 {
    (left.as_secs_f64() / planned.as_secs_f64().max(1.0)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_leave_time_for_builds() {
        let all: Vec<&str> = PLANS.iter().map(|plan| plan.0).collect();
        assert!(planned(&all, true) <= Duration::from_mins(34), "{:?}", planned(&all, true));
        assert!(planned(&all, false) <= Duration::from_mins(19), "{:?}", planned(&all, false));
    }

    #[test]
    fn what_is_left_is_shared() {
        assert_eq!(share(Duration::from_secs(100), Duration::from_secs(50)), 1.0);
        assert_eq!(share(Duration::from_secs(25), Duration::from_secs(50)), 0.5);
        assert_eq!(planned(&["disk", "k8s"], true), Duration::from_mins(7));
    }

    #[test]
    fn a_part_without_time_is_refused() {
        let budget = Budget::new(0, true);
        let error = budget.share(&["query", "k8s"]).unwrap_err().to_string();
        assert!(error.contains("query: 0 of 0 minutes are over"), "{error}");
        assert!(Budget::new(40, true).share(&["query"]).unwrap() > 0.99);
    }
}
