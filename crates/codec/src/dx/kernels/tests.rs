//! Every kernel of this CPU against the scalar one, and that against arithmetic.

use super::{Kernel, Lanes};
use crate::dx::BLOCK_SAMPLES;
use proptest::prelude::*;

fn block(seed: &[i64]) -> Lanes {
    Lanes(std::array::from_fn(|i| seed[i % seed.len()].rotate_left(i as u32)))
}

/// Integers of every size.
fn integers() -> impl Strategy<Value = Vec<i64>> {
    let integer = (any::<i64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift);
    prop::collection::vec(prop_oneof![4 => integer, 1 => Just(i64::MIN), 1 => Just(0)], BLOCK_SAMPLES)
}

fn entry(packed: &[u8], width: usize, index: usize) -> u64 {
    (0..width).fold(0, |value, bit| {
        let at = index * width + bit;
        value | u64::from(packed[at / 8] >> (at % 8) & 1) << bit
    })
}

#[test]
fn the_best_kernel_is_one_of_those_available() {
    let available = Kernel::available();
    println!("kernels: {available:?}");
    assert_eq!(available.last(), Some(&Kernel::best()));
    assert_eq!(available[0], Kernel::Scalar);
}

proptest! {
    #[test]
    fn entries_of_every_width_unpack(
        bytes in prop::collection::vec(any::<u8>(), 1100),
        count in 0..=BLOCK_SAMPLES, offset in 0usize..9, extra in 0usize..70, base: i64,
    ) {
        for width in (0..=57usize).chain([64]) {
            let packed = &bytes[offset..][..(count * width).div_ceil(8) + extra.min(1100 - 1024 - 9)];
            // Behind the slice there is nothing that may be read: a copy of its own, for tools that watch memory.
            let packed = packed.to_vec().into_boxed_slice();
            for kernel in Kernel::available() {
                let mut lanes = Lanes([7; BLOCK_SAMPLES]);
                kernel.unpack(&packed, width as u32, count, base, &mut lanes);
                for (index, &lane) in lanes.0[..count].iter().enumerate() {
                    let expected = base.wrapping_add(entry(&packed, width, index) as i64);
                    prop_assert_eq!(lane, expected, "{:?} width {} index {}", kernel, width, index);
                }
                prop_assert!(lanes.0[count.next_multiple_of(8)..].iter().all(|&lane| lane == 7));
            }
        }
    }

    #[test]
    fn kernels_agree_bit_for_bit(
        seed in integers(), bitmap in prop::collection::vec(any::<u8>(), 0..=16),
        count in 0..=BLOCK_SAMPLES, start: i64, step: i64, exponent in 0usize..=17,
    ) {
        let divisor = crate::dx::decimal::POWERS[exponent];
        let results: Vec<_> = Kernel::available().into_iter().map(|kernel| {
            let (mut sums, mut lines, mut expanded) = (block(&seed), block(&seed), block(&seed));
            let mut floats = block(&seed);
            kernel.sum(start, count, &mut sums);
            kernel.line(start, step, &mut lines);
            kernel.expand(&bitmap, &block(&seed), &mut expanded);
            kernel.quotients(count, divisor, &mut floats);
            (sums.0, lines.0, expanded.0, floats.0, kernel.ascends(&seed[..count]))
        }).collect();
        for result in &results {
            prop_assert!(*result == results[0]);
        }
        let (sums, lines, expanded, floats, ascends) = &results[0];
        let lanes = block(&seed).0;
        let mut sum = start;
        let mut next = 0;
        for i in 0..count {
            sum = sum.wrapping_add(lanes[i]);
            prop_assert_eq!(sums[i], sum);
            prop_assert_eq!(floats[i] as u64, (lanes[i] as f64 / divisor).to_bits());
        }
        for i in 0..BLOCK_SAMPLES {
            prop_assert_eq!(lines[i], lanes[i].wrapping_add(start.wrapping_add(step.wrapping_mul(i as i64))));
        }
        for i in 0..bitmap.len() * 8 {
            let is_set = bitmap[i / 8] >> (i % 8) & 1 == 1;
            prop_assert_eq!(expanded[i], if is_set { lanes[next] } else { 0 });
            next += usize::from(is_set);
        }
        prop_assert_eq!(*ascends, seed[..count].is_sorted_by(|a, b| a < b));
    }
}
