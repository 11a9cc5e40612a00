//! Chunks by every kernel: the same bytes, the same samples, the same refusals.

use super::*;
use crate::dx::DxEncoder;
use proptest::prelude::*;

proptest! {
    #[test]
    fn kernels_write_and_read_the_same(
        steps in prop::collection::vec((1i64..100_000, -500i64..500, any::<u64>(), 0u32..20), 1..600),
        kind in 0u32..5, flip: usize, ends: [prop::sample::Index; 2], off in -1i64..2,
    ) {
        let (mut time, mut number) = (1_700_000_000_000, 0);
        let (times, values): (Vec<i64>, Vec<f64>) = steps.iter().map(|&(step, change, bits, rare)| {
            time += if kind == 0 { 15_000 } else { 15_000 + step % 11 };
            number += change;
            let value = match kind {
                0 | 4 => number as f64,
                1 => number as f64 / 100.0,
                2 if rare == 0 => f64::from_bits(bits),
                2 => 7.0,
                _ => f64::from_bits(bits),
            };
            (time, value)
        }).unzip();
        let encoded = Kernel::available().into_iter().map(|kernel| {
            let mut bytes = Vec::new();
            DxEncoder::default().encode_by(kernel, &times, &values, &mut bytes).unwrap();
            bytes
        }).collect::<Vec<_>>();
        prop_assert!(encoded.iter().all(|bytes| *bytes == encoded[0]));

        let chunk = DxChunk::parse(&encoded[0]).unwrap();
        for &time in times.iter().step_by(37).chain(times.last()) {
            for other in [i64::MIN, time - 1, time, time + 1, time + 15_000, i64::MAX] {
                prop_assert_eq!(chunk.has_time(other), Ok(times.binary_search(&other).is_ok()));
            }
        }

        let mut damaged = encoded[0].clone();
        let bit = flip % (damaged.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        for bytes in [&encoded[0], &damaged] {
            let Ok(chunk) = DxChunk::parse(bytes) else { continue };
            let read = Kernel::available().into_iter().map(|kernel| {
                let (mut times, mut values) = (Vec::new(), Vec::new());
                let results = (chunk.decode_times_by(kernel, &mut times), chunk.decode_values_by(kernel, &mut values));
                (results, times, values.into_iter().map(f64::to_bits).collect::<Vec<_>>())
            }).collect::<Vec<_>>();
            prop_assert!(read.iter().all(|one| *one == read[0]));

            // Of a part the same samples; what is wrong outside of it need not be found.
            let [from, to] = ends.map(|end| times[end.index(times.len())] + off);
            for range in [TimeRange::new(from, to), TimeRange::new(to, i64::MAX), TimeRange::new(i64::MIN, from), TimeRange::EMPTY] {
                let parts = Kernel::available().into_iter().map(|kernel| {
                    let (mut times, mut values) = (vec![5], vec![0.5]);
                    let result = chunk.decode_within_by(kernel, range, &mut times, &mut values);
                    (result, times, values.into_iter().map(f64::to_bits).collect::<Vec<_>>())
                }).collect::<Vec<_>>();
                prop_assert!(parts.iter().all(|one| *one == parts[0]));
                let ((whole, whole_times, whole_values), (part, part_times, part_values)) = (&read[0], &parts[0]);
                if *whole == (Ok(()), Ok(())) {
                    prop_assert_eq!(part, &Ok(TimeRange::new(whole_times[0], whole_times[whole_times.len() - 1])));
                    let inside = |time: &i64| range.contains(*time);
                    let own = whole_times.iter().zip(whole_values).filter(|(time, _)| inside(time));
                    let (own_times, own_values): (Vec<i64>, Vec<u64>) = own.unzip();
                    prop_assert_eq!((&part_times[1..], &part_values[1..]), (&own_times[..], &own_values[..]));
                }
                prop_assert!(part.is_ok() || part_times.len() == 1 && part_values.len() == 1);
            }
        }
    }
}
