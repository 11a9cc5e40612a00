//! Memory that all queries of a process may hold together.

use crate::error::EvalError;
use crate::options::QueryOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A limit on the bytes that queries running at the same time hold in rows and columns. A clone is the same budget.
///
/// Queries take their share in grants of a MiB, so they meet here rarely, and give all of it back when they
/// end, however they end.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    limit_bytes: u64,
    setting: &'static str,
    // Relaxed throughout: the counter guards no other memory; it only has to add up.
    used_bytes: AtomicU64,
    peak_bytes: AtomicU64,
}

/// What a query takes from the budget at a time.
const GRANT_BYTES: u64 = 1 << 20;

impl MemoryBudget {
    /// A budget of `limit_bytes`; `setting` is what an error calls it, e.g. the name of a flag.
    pub fn new(limit_bytes: u64, setting: &'static str) -> Self {
        let (used_bytes, peak_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Budget { limit_bytes, setting, used_bytes, peak_bytes }))
    }

    /// The limit.
    pub fn limit_bytes(&self) -> u64 {
        self.0.limit_bytes
    }

    /// Bytes granted to queries that are running.
    pub fn used_bytes(&self) -> u64 {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// The most that was ever granted at the same time.
    pub fn peak_bytes(&self) -> u64 {
        self.0.peak_bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), EvalError> {
        let limit_bytes = self.0.limit_bytes;
        let fits = |used: u64| used.checked_add(bytes).filter(|&used| used <= limit_bytes);
        match self.0.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(before) => {
                self.0.peak_bytes.fetch_max(before + bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(EvalError::NoMemoryLeft { limit_bytes, setting: self.0.setting }),
        }
    }
}

/// Memory beside an evaluation that counts for its query, like that of an answer which waits to be sent. Given back
/// when dropped.
#[derive(Debug)]
pub struct MemoryHold {
    charge: Charge,
    limit_bytes: u64,
}

impl MemoryHold {
    /// Nothing held yet, under the limits of [`QueryOptions::max_bytes`] and [`QueryOptions::memory`].
    pub fn new(options: &QueryOptions) -> Self {
        Self { charge: Charge::new(options.memory.clone()), limit_bytes: options.max_bytes }
    }

    /// Counts what is held now, `held_bytes`, if it is more than before.
    ///
    /// # Errors
    /// [`EvalError::TooManyBytes`] and [`EvalError::NoMemoryLeft`]; what was held before still counts.
    pub fn grow_to(&mut self, held_bytes: u64) -> Result<(), EvalError> {
        if held_bytes > self.limit_bytes {
            return Err(EvalError::TooManyBytes { limit_bytes: self.limit_bytes });
        }
        self.charge.cover(held_bytes)
    }

    /// Gives back what is not held any more now that it is `held_bytes`, but for less than two MiB.
    pub fn shrink_to(&mut self, held_bytes: u64) {
        self.charge.shrink(held_bytes);
    }
}

/// What one query has of a budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Option<MemoryBudget>,
    granted_bytes: AtomicU64,
}

impl Charge {
    pub fn new(budget: Option<MemoryBudget>) -> Self {
        Self { budget, granted_bytes: AtomicU64::new(0) }
    }

    /// Gives back whole grants that `held_bytes` do not need. One grant is kept, so that ups and downs cost nothing.
    fn shrink(&mut self, held_bytes: u64) {
        let Some(budget) = &self.budget else { return };
        let granted = self.granted_bytes.get_mut();
        let kept = if held_bytes == 0 { 0 } else { held_bytes.saturating_add(GRANT_BYTES) };
        let unused = granted.saturating_sub(kept);
        if unused >= GRANT_BYTES || held_bytes == 0 {
            *granted -= unused;
            budget.0.used_bytes.fetch_sub(unused, Ordering::Relaxed);
        }
    }

    /// Makes sure that `held_bytes` are granted. Threads of one query may overshoot by a grant each.
    #[inline]
    pub fn cover(&self, held_bytes: u64) -> Result<(), EvalError> {
        match &self.budget {
            Some(budget) if held_bytes > self.granted_bytes.load(Ordering::Relaxed) => self.grow(budget, held_bytes),
            _ => Ok(()),
        }
    }

    #[cold]
    fn grow(&self, budget: &MemoryBudget, held_bytes: u64) -> Result<(), EvalError> {
        let granted = self.granted_bytes.load(Ordering::Relaxed);
        let missing = held_bytes.saturating_sub(granted);
        let wanted = missing.div_ceil(GRANT_BYTES).saturating_mul(GRANT_BYTES);
        // The last bytes of a budget are not worth refusing a query for a whole grant.
        let taken = if budget.take(wanted).is_ok() { wanted } else { budget.take(missing).map(|()| missing)? };
        self.granted_bytes.fetch_add(taken, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.0.used_bytes.fetch_sub(*self.granted_bytes.get_mut(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_share_the_budget_and_give_it_back() {
        let budget = MemoryBudget::new(10 << 20, "--flag");
        let (one, two) = (Charge::new(Some(budget.clone())), Charge::new(Some(budget.clone())));
        one.cover(6 << 20).unwrap();
        one.cover(1).unwrap();
        assert_eq!(budget.used_bytes(), 6 << 20);
        assert!(two.cover(4 << 20).is_ok());
        let refused = two.cover((4 << 20) + 1).unwrap_err().to_string();
        assert!(refused.contains("10485760 bytes (--flag)"), "{refused}");
        drop(one);
        two.cover((9 << 20) + 5).unwrap();
        assert_eq!(budget.used_bytes(), 10 << 20);
        drop(two);
        assert_eq!((budget.used_bytes(), budget.peak_bytes()), (0, 10 << 20));
        assert!(Charge::new(None).cover(u64::MAX).is_ok());
    }

    #[test]
    fn what_is_held_beside_a_query_counts_while_it_is_held() {
        let budget = MemoryBudget::new(10 << 20, "--flag");
        let options = QueryOptions { memory: Some(budget.clone()), max_bytes: 9 << 20, ..QueryOptions::default() };
        let (mut one, mut two) = (MemoryHold::new(&options), MemoryHold::new(&options));
        one.grow_to(6 << 20).unwrap();
        assert!(matches!(two.grow_to(5 << 20), Err(EvalError::NoMemoryLeft { .. })));
        assert!(matches!(two.grow_to(10 << 20), Err(EvalError::TooManyBytes { .. })));
        one.shrink_to(2 << 20);
        assert_eq!(budget.used_bytes(), 3 << 20);
        two.grow_to(5 << 20).unwrap();
        one.shrink_to(0);
        assert_eq!(budget.used_bytes(), 5 << 20);
        drop(two);
        assert_eq!((budget.used_bytes(), budget.peak_bytes()), (0, 8 << 20));
    }
}
