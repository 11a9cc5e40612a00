//! When a series that describes others, as `target_info` does, has samples: near the samples that were accepted.

/// Steps of a gap between accepted samples that are filled; in a wider one nothing is described but its ends.
const GAP_STEPS: i64 = 24;

/// Gives the times of the companion's samples to `emit`, ascending.
///
/// `times` are those of the samples it describes, strictly ascending; `accepts` tells of an index whether any sample of
/// that time is accepted. A stretch, that is accepted times that are at most 24 steps of `step_ms`
/// apart, has a sample at its first and its last time, and one every step in between. The samples in between count
/// against `fill_left`; once that is used up stretches are of times at most a step apart, so that there are
/// never more than two samples an accepted time besides.
///
/// Cost: `accepts` is asked at most twice for each index, and of times that lie close together mostly not at all.
///
/// # Panics
/// If `step_ms` is not positive.
pub fn companion_times(
    times: &[i64],
    step_ms: i64,
    fill_left: &mut usize,
    mut accepts: impl FnMut(usize) -> bool,
    mut emit: impl FnMut(i64),
) {
    assert!(step_ms > 0, "a step takes time");
    let mut next = 0;
    while next < times.len() {
        if !accepts(next) {
            next += 1;
            continue;
        }
        let filled = *fill_left > 0;
        let reach = if filled { step_ms.saturating_mul(GAP_STEPS) } else { step_ms };
        let (first, fill_max) = (times[next], *fill_left as u64);
        let steps_to = |last: i64| (last.abs_diff(first).saturating_sub(1)) / step_ms.unsigned_abs();
        let mut last = next;
        // From accepted time to accepted time, as far as the reach goes.
        loop {
            let end = times.partition_point(|&time| time <= times[last].saturating_add(reach));
            next = end;
            let farthest = (last + 1..end).rev().find(|&at| accepts(at));
            match farthest {
                Some(at) if filled && steps_to(times[at]) > fill_max => {
                    next = last + 1;
                    *fill_left = 0;
                    break;
                }
                Some(at) => last = at,
                None => break,
            }
        }
        let steps = steps_to(times[last]);
        emit(first);
        (1..=steps as i64).for_each(|step| emit(first + step * step_ms));
        if times[last] > first {
            emit(times[last]);
        }
        *fill_left = fill_left.saturating_sub(steps as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times_of(times: &[i64], refused: &[i64], fill: usize) -> Vec<i64> {
        let (mut out, mut asked, mut fill_left) = (Vec::new(), 0, fill);
        companion_times(
            times,
            10,
            &mut fill_left,
            |at| {
                asked += 1;
                !refused.contains(&times[at])
            },
            |time| out.push(time),
        );
        assert!(asked <= 2 * times.len(), "{asked} questions for {} times", times.len());
        assert!(out.is_sorted_by(|a, b| a < b), "{out:?}");
        let accepted = times.len() - times.iter().filter(|t| refused.contains(t)).count();
        assert!(out.len() <= 2 * accepted + fill, "{out:?}");
        for time in times.iter().filter(|t| !refused.contains(t)) {
            assert!(out.iter().any(|t| t <= time && time.abs_diff(*t) <= 10), "nothing near {time}: {out:?}");
        }
        out
    }

    #[test]
    fn a_stretch_has_its_ends_and_every_step_between() {
        assert_eq!(times_of(&[], &[], 9), []);
        assert_eq!(times_of(&[7], &[], 9), [7]);
        assert_eq!(times_of(&[0, 20], &[], 9), [0, 10, 20]);
        assert_eq!(times_of(&[0, 21], &[], 9), [0, 10, 20, 21]);
        assert_eq!(times_of(&[0, 3, 7, 11], &[], 9), [0, 10, 11]);
        assert_eq!(times_of(&[i64::MIN, i64::MAX], &[], 9), [i64::MIN, i64::MAX]);
    }

    #[test]
    fn refused_times_and_wide_gaps_are_left_out() {
        assert_eq!(times_of(&[0, 100], &[0], 9), [100]);
        assert_eq!(times_of(&[0, 100], &[100], 9), [0]);
        assert_eq!(times_of(&[0, 100], &[0, 100], 9), []);
        assert_eq!(times_of(&[0, 15, 30], &[15], 9), [0, 10, 20, 30], "a gap that is bridged");
        assert_eq!(times_of(&[0, 241], &[], 99), [0, 241]);
        assert_eq!(times_of(&[0, 240], &[], 99).len(), 25);
    }

    #[test]
    fn what_is_filled_has_a_bound_and_no_accepted_time_goes_without() {
        let hours: Vec<i64> = (0..100).map(|i| i * 240).collect();
        assert_eq!(times_of(&hours, &[], 50).len(), 49 + 97, "two gaps are filled, the others are not");
        let dense: Vec<i64> = (0..1_000).map(|i| i * 3).collect();
        times_of(&dense, &[], 0);
        times_of(&dense, &[], 5);
        let every_other: Vec<i64> = dense.iter().copied().step_by(2).collect();
        times_of(&dense, &every_other, 5);
        times_of(&dense, &dense[1..999], 5);
        times_of(&dense, &dense[2..], 5);
    }
}
