//! Which questions come again over a window that slides, as those of dashboards do, and where the window will be next.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mytsdb_model::TimeRange;

/// Most questions that are known; past it the one goes that was asked longest ago.
const QUESTIONS_MAX: usize = 1_024;

/// Most windows of one width that one question has at a time: panels that show now and a week ago, say.
const TRACKS_MAX: usize = 4;

/// Slides in the same direction after which a window is expected to slide on.
const SLIDES_MIN: u32 = 2;

/// What was asked over windows that slide.
#[derive(Debug)]
pub struct Refreshes<Q> {
    /// By hash of the question and width of the window.
    asked: HashMap<(u64, i64), Asked<Q>, FixedState>,
    depth: u32,
    clock: u64,
}

#[derive(Debug)]
struct Asked<Q> {
    question: Q,
    tracks: Vec<Track>,
    used: u64,
}

/// A window that slides.
#[derive(Debug)]
struct Track {
    range: TimeRange,
    step_ms: i64,
    slides: u32,
    used: u64,
}

impl<Q: Clone> Refreshes<Q> {
    /// Nothing was asked yet. A window that slides is expected to do so `depth` times more.
    pub fn new(depth: u32) -> Self {
        Self { asked: HashMap::default(), depth, clock: 0 }
    }

    /// Notes that a question, known by its hash, was asked over a range. Gives back the times that its next windows have and this one has
    /// not, if it slides.
    ///
    /// ```
    /// use mytsdb_cache::Refreshes;
    /// use mytsdb_model::TimeRange;
    ///
    /// let mut refreshes = Refreshes::new(4);
    /// let window = |at: i64| TimeRange::new(at * 15, 1_000 + at * 15);
    /// assert_eq!(refreshes.asked(7, &"up", window(0)), None);
    /// assert_eq!(refreshes.asked(7, &"up", window(1)), None);
    /// assert_eq!(refreshes.asked(7, &"up", window(2)), Some(TimeRange::new(1_031, 1_090)));
    /// ```
    pub fn asked(&mut self, hash: u64, question: &Q, range: TimeRange) -> Option<TimeRange> {
        if range.is_empty() || self.depth == 0 {
            return None;
        }
        self.clock += 1;
        let (clock, width_ms) = (self.clock, range.maxt.saturating_sub(range.mint));
        if self.asked.len() >= QUESTIONS_MAX && !self.asked.contains_key(&(hash, width_ms)) {
            let oldest = self.asked.iter().min_by_key(|(_, asked)| asked.used).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.asked.remove(&oldest);
            }
        }
        let asked = self.asked.entry((hash, width_ms)).or_insert_with(|| Asked {
            question: question.clone(),
            tracks: Vec::new(),
            used: clock,
        });
        asked.used = clock;
        let slide = |track: &Track| range.mint.saturating_sub(track.range.mint);
        let nearest = asked.tracks.iter_mut().min_by_key(|track| slide(track).unsigned_abs());
        // A window goes on by its own width at most.
        if let Some(track) = nearest.filter(|track| slide(track).unsigned_abs() <= width_ms.unsigned_abs().max(1)) {
            track.used = clock;
            let step_ms = slide(track);
            if step_ms == 0 {
                return None;
            }
            track.slides = if step_ms.signum() == track.step_ms.signum() { track.slides.saturating_add(1) } else { 1 };
            (track.range, track.step_ms) = (range, step_ms);
            return (track.slides >= SLIDES_MIN).then(|| ahead(range, step_ms, self.depth));
        }
        if asked.tracks.len() >= TRACKS_MAX
            && let Some(oldest) = (0..TRACKS_MAX).min_by_key(|at| asked.tracks[*at].used)
        {
            asked.tracks.swap_remove(oldest);
        }
        asked.tracks.push(Track { range, step_ms: 0, slides: 0, used: clock });
        None
    }

    /// The question of a hash that was asked over windows as long as a range.
    pub fn known(&self, hash: u64, range: TimeRange) -> Option<Q> {
        let asked = self.asked.get(&(hash, range.maxt.saturating_sub(range.mint)))?;
        Some(asked.question.clone())
    }

    /// The questions that have come again and whose last window has times of a range.
    pub fn coming(&self, range: TimeRange) -> Vec<Q> {
        let comes = |track: &Track| track.slides > 0 && track.range.overlaps(range);
        let coming = self.asked.values().filter(|asked| asked.tracks.iter().any(comes));
        coming.map(|asked| asked.question.clone()).collect()
    }
}

/// The times beyond a range that it has after so many steps.
fn ahead(range: TimeRange, step_ms: i64, depth: u32) -> TimeRange {
    let reach_ms = step_ms.saturating_mul(i64::from(depth));
    if step_ms > 0 {
        TimeRange::new(range.maxt.saturating_add(1), range.maxt.saturating_add(reach_ms))
    } else {
        TimeRange::new(range.mint.saturating_add(reach_ms), range.mint.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn window(from: i64) -> TimeRange {
        TimeRange::new(from, from + 6 * HOUR)
    }

    #[test]
    fn a_window_that_is_moved_back_is_expected_to_be_moved_further_back() {
        let mut refreshes = Refreshes::new(2);
        assert_eq!(refreshes.asked(1, &(), window(100 * HOUR)), None);
        assert_eq!(refreshes.asked(1, &(), window(94 * HOUR)), None);
        let next = TimeRange::new(76 * HOUR, 88 * HOUR - 1);
        assert_eq!(refreshes.asked(1, &(), window(88 * HOUR)), Some(next));
        assert_eq!(refreshes.asked(1, &(), window(88 * HOUR)), None, "the same question of another source");
        assert_eq!(refreshes.asked(1, &(), window(94 * HOUR)), None, "it turns");
    }

    #[test]
    fn panels_of_now_and_of_a_week_ago_slide_each_by_itself() {
        let mut refreshes = Refreshes::new(8);
        let mut found = Vec::new();
        for refresh in 0..4 {
            let from = 1_000 * HOUR + refresh * 15_000;
            found.push(refreshes.asked(1, &"m", window(from)).is_some());
            found.push(refreshes.asked(1, &"m", window(from - 168 * HOUR)).is_some());
        }
        assert_eq!(found, [false, false, false, false, true, true, true, true]);
        assert_eq!(refreshes.coming(window(1_000 * HOUR)), ["m"]);
        assert_eq!(refreshes.coming(window(900 * HOUR)), [""; 0]);
    }

    #[test]
    fn what_jumps_is_not_expected_anywhere_and_all_is_bounded() {
        let mut refreshes = Refreshes::new(8);
        for asked in 0..5_000u64 {
            let jump = window((asked as i64 * 7_919 % 1_000) * 50 * HOUR);
            assert_eq!(refreshes.asked(1, &0, jump), None);
            assert_eq!(refreshes.asked(asked, &asked, window(i64::MAX - 6 * HOUR)), None);
        }
        assert!(refreshes.asked.len() <= QUESTIONS_MAX);
        assert!(refreshes.asked.values().all(|asked| asked.tracks.len() <= TRACKS_MAX));
        assert_eq!(refreshes.asked(1, &0, TimeRange::ALL), None);
        assert_eq!(Refreshes::new(0).asked(1, &0, window(0)), None, "depth 0 expects nothing");
    }
}
