//! Behaviour of whole histograms, and of hostile ones.

use proptest::prelude::*;

use super::*;

/// An exponential histogram with one positive span; count and sum are 0.
pub(super) fn exponential(schema: i32, offset: i32, buckets: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema,
        positive_spans: vec![Span { offset, length: buckets.len() as u32 }],
        positive_buckets: buckets.to_vec(),
        ..FloatHistogram::default()
    }
}

fn custom(bounds: &[f64], buckets: &[f64]) -> FloatHistogram {
    FloatHistogram { custom_values: bounds.to_vec(), ..exponential(CUSTOM_SCHEMA, 0, buckets) }
}

fn hint(counter_reset_hint: CounterResetHint) -> FloatHistogram {
    FloatHistogram { counter_reset_hint, ..FloatHistogram::default() }
}

#[test]
fn a_sum_has_the_lower_of_two_resolutions() {
    let mut fine = exponential(1, 1, &[1.0, 2.0, 4.0]);
    fine.add(&exponential(0, 1, &[10.0])).unwrap();
    fine.compact(0);
    assert!(fine.equals(&exponential(0, 1, &[13.0, 4.0])), "{fine}");
    assert_eq!(
        fine.copy_to_schema(1).unwrap_err(),
        HistogramError::CannotRaiseResolution { from: 0, to: 1 },
        "a lower resolution cannot be undone"
    );
}

#[test]
fn hints_of_two_histograms_combine() {
    use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
    for (left, right, expected, collision) in [
        (Gauge, NotCounterReset, Gauge, false),
        (Unknown, Gauge, Gauge, false),
        (Unknown, CounterReset, Unknown, false),
        (NotCounterReset, NotCounterReset, NotCounterReset, false),
        (CounterReset, NotCounterReset, Unknown, true),
    ] {
        for (a, b) in [(left, right), (right, left)] {
            let mut sum = hint(a);
            let reconciled = sum.add(&hint(b)).unwrap();
            assert_eq!((sum.counter_reset_hint, reconciled.counter_reset_collision), (expected, collision));
        }
    }
}

#[test]
fn mixed_kinds_are_refused_and_nothing_changes() {
    let before = exponential(0, 0, &[1.0]);
    let mut h = before.clone();
    assert_eq!(h.add(&custom(&[1.0], &[1.0])), Err(HistogramError::IncompatibleSchemas));
    assert_eq!(h.sub(&custom(&[1.0], &[1.0])), Err(HistogramError::IncompatibleSchemas));
    let mut compensation = h.new_compensation();
    assert_eq!(h.kahan_add(&custom(&[1.0], &[1.0]), &mut compensation), Err(HistogramError::IncompatibleSchemas));
    assert_eq!(h, before);
}

#[test]
fn custom_bounds_shrink_to_those_in_common() {
    let mut h = custom(&[1.0, 2.0, 3.0], &[1.0, 2.0, 4.0, 8.0]);
    let reconciled = h.add(&custom(&[2.0, 5.0], &[100.0, 200.0, 300.0])).unwrap();
    assert!(reconciled.custom_bounds);
    assert!(h.equals(&custom(&[2.0], &[103.0, 512.0])), "{h}");
    h.add(&custom(&[7.0], &[1.0, 1.0])).unwrap();
    assert!(h.equals(&custom(&[], &[617.0])), "without a bound in common one bucket is left: {h}");
}

#[test]
fn observations_in_a_widened_zero_bucket_are_counted_once() {
    // The wide zero bucket of the left ends at a bound of the right's schema only; at the left's own schema the right's
    // first two buckets become one, of which the first part is in the zero bucket already.
    let mut coarse = FloatHistogram { zero_threshold: bucket_bound(1, 1, &[]), ..exponential(0, 3, &[1.0]) };
    let fine = FloatHistogram { count: 12.0, ..exponential(1, 1, &[5.0, 7.0]) };
    coarse.add(&fine).unwrap();
    assert_eq!(coarse.zero_count, 5.0);
    assert_eq!(coarse.positive_buckets.iter().sum::<f64>(), 8.0);
}

#[test]
fn compensation_recovers_what_rounding_loses() {
    let mut sum = FloatHistogram { count: 1e100, sum: 1e100, ..exponential(0, 0, &[1e100]) };
    let mut compensation = sum.new_compensation();
    for value in [1.0, 2.0, -1e100] {
        let h = FloatHistogram { count: value, sum: value, ..exponential(0, 0, &[value]) };
        sum.kahan_add(&h, &mut compensation).unwrap();
    }
    sum.add(&compensation).unwrap();
    assert_eq!((sum.count, sum.sum, sum.positive_buckets[0]), (3.0, 3.0, 3.0));
    compensation.positive_spans.clear();
    assert_eq!(sum.clone().kahan_add(&sum, &mut compensation), Err(HistogramError::CompensationMismatch));
}

#[test]
fn text_shows_populated_buckets_from_low_to_high() {
    let h = FloatHistogram {
        count: 1e6,
        sum: -0.00001,
        zero_count: 3.0,
        zero_threshold: 0.001,
        negative_spans: vec![Span { offset: 0, length: 2 }],
        negative_buckets: vec![1.0, 2.0],
        ..exponential(0, 0, &[4.0, 0.0, 123456.5])
    };
    assert_eq!(
        h.to_string(),
        "{count:1e+06, sum:-1e-05, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:3, (0.5,1]:4, (2,4]:123456.5}"
    );
}

#[test]
fn equality_looks_at_bits_and_not_at_the_cut_of_spans() {
    let whole = exponential(0, 0, &[1.0, f64::NAN]);
    let mut cut = whole.clone();
    cut.positive_spans = [(0, 1), (0, 0), (0, 1)].map(|(offset, length)| Span { offset, length }).to_vec();
    cut.counter_reset_hint = CounterResetHint::Gauge;
    assert!(whole.equals(&cut));
    cut.positive_buckets[0] = -1.0;
    assert!(!whole.equals(&cut));
    assert_eq!(whole.size(), 168 + 8 + 16);
}

#[test]
fn staleness_is_in_the_sum() {
    let mut h = exponential(0, 0, &[1.0]);
    h.sum = f64::NAN;
    assert!(!h.is_stale());
    h.sum = mytsdb_model::stale_nan();
    assert!(h.is_stale());
}

#[test]
fn validation_names_the_rule_that_is_broken() {
    let spans = |list: &[(i32, u32)]| list.iter().map(|&(offset, length)| Span { offset, length }).collect::<Vec<_>>();
    let good = exponential(3, -5, &[1.0, 0.0]);
    let fine = custom(&[1.0, 2.0], &[1.0, 2.0, 3.0]);
    assert_eq!((good.validate(), fine.validate()), (Ok(()), Ok(())));
    for (bad, expected) in [
        (FloatHistogram { schema: 9, ..good.clone() }, HistogramError::UnknownSchema(9)),
        (
            FloatHistogram { positive_spans: spans(&[(0, 1), (-1, 1)]), ..good.clone() },
            HistogramError::NegativeSpanOffset { span: 1, offset: -1 },
        ),
        (
            FloatHistogram { positive_spans: spans(&[(0, u32::MAX)]), ..good.clone() },
            HistogramError::BucketCountMismatch { needed: u64::from(u32::MAX), found: 2 },
        ),
        (
            FloatHistogram { positive_spans: spans(&[(i32::MAX, 2)]), ..good.clone() },
            HistogramError::IndexOutOfRange(i64::from(i32::MAX) + 2),
        ),
        (FloatHistogram { zero_threshold: -1.0, ..good.clone() }, HistogramError::BadZeroThreshold(-1.0)),
        (FloatHistogram { custom_values: vec![1.0], ..good.clone() }, HistogramError::UnexpectedPart("custom bounds")),
        (custom(&[1.0, 1.0], &[1.0]), HistogramError::BadCustomBound { index: 1, bound: 1.0 }),
        (custom(&[1.0], &[1.0, 2.0, 3.0]), HistogramError::TooFewCustomBounds { index: 2, bounds: 1 }),
        (FloatHistogram { zero_count: 1.0, ..fine }, HistogramError::UnexpectedPart("a zero count")),
    ] {
        assert_eq!(bad.validate(), Err(expected));
    }
}

fn hostile_float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), (0..5i32).prop_map(f64::from), Just(0.0), Just(f64::NAN), Just(f64::INFINITY)]
}

fn hostile() -> impl Strategy<Value = FloatHistogram> {
    let schema = prop_oneof![4 => -5..10i32, 2 => Just(CUSTOM_SCHEMA), 1 => any::<i32>()];
    let span = || {
        let offset = prop_oneof![4 => -3..5i32, 1 => any::<i32>()];
        let length = prop_oneof![4 => 0..4u32, 1 => any::<u32>()];
        (offset, length).prop_map(|(offset, length)| Span { offset, length })
    };
    let side = || (prop::collection::vec(span(), 0..5), prop::collection::vec(hostile_float(), 0..9));
    (schema, [hostile_float(), hostile_float(), hostile_float(), hostile_float()], side(), side(), side()).prop_map(
        |(schema, [zero_threshold, zero_count, count, sum], positive, negative, (_, custom_values))| FloatHistogram {
            counter_reset_hint: CounterResetHint::Unknown,
            schema,
            zero_threshold,
            zero_count,
            count,
            sum,
            positive_spans: positive.0,
            positive_buckets: positive.1,
            negative_spans: negative.0,
            negative_buckets: negative.1,
            custom_values,
        },
    )
}

fn valid() -> impl Strategy<Value = FloatHistogram> {
    let side = || {
        let spans = prop::collection::vec((0..4i32, 0..4u32), 0..5);
        (spans, prop::collection::vec(0..50u32, 20)).prop_map(|(spans, counts)| {
            let spans: Vec<Span> = spans.into_iter().map(|(offset, length)| Span { offset, length }).collect();
            let needed: u32 = spans.iter().map(|span| span.length).sum();
            let buckets: Vec<f64> = counts.into_iter().take(needed as usize).map(f64::from).collect();
            (spans, buckets)
        })
    };
    (0..4i32, 0..6i64, 0..9u32, side(), side()).prop_map(|(schema, zero, zero_count, positive, negative)| {
        let mut h = FloatHistogram {
            schema,
            zero_threshold: if zero == 0 { 1e-128 } else { bucket_bound(1, zero - 3, &[]) },
            zero_count: f64::from(zero_count),
            positive_spans: positive.0,
            positive_buckets: positive.1,
            negative_spans: negative.0,
            negative_buckets: negative.1,
            ..FloatHistogram::default()
        };
        h.drop_buckets_in_zero_bucket();
        h.count = bucket_total(&h);
        h
    })
}

fn bucket_total(h: &FloatHistogram) -> f64 {
    h.zero_count + h.positive_buckets.iter().chain(&h.negative_buckets).sum::<f64>()
}

/// What [`FloatHistogram::reach`] finds, bucket by bucket.
fn reach(buckets: impl Iterator<Item = Bucket>, rank: f64) -> Option<(Bucket, f64)> {
    let mut reached = None;
    let mut count = 0.0;
    for bucket in buckets {
        count += bucket.count;
        let empty = bucket.count == 0.0;
        reached = Some((bucket, count));
        if count >= rank && !empty {
            break;
        }
    }
    reached
}

proptest! {
    #[test]
    fn no_operation_panics_on_hostile_histograms(a in hostile(), b in hostile(), gap in 0..100u32, x in hostile_float()) {
        let mut sum = a.clone();
        let mut compensation = a.new_compensation();
        prop_assert!(sum.kahan_add(&b, &mut compensation).is_ok() == a.clone().add(&b).is_ok());
        prop_assert_eq!(&sum.positive_spans, &compensation.positive_spans);
        let mut changed = a.clone();
        prop_assert!(changed.sub(&b).is_ok() == a.clone().add(&b).is_ok());
        changed.mul(x);
        changed.div(x);
        changed.compact(gap);
        changed.trim_upper(x);
        changed.trim_lower(x);
        prop_assert!(changed.copy_to_schema(-4).is_ok() || changed.schema < -4);
        prop_assert!(a.validate().is_err() || a.clone().add(&a).is_ok());
        prop_assert!(!a.to_string().is_empty());
        prop_assert_eq!(a.detect_reset(&b), a.clone().detect_reset(&b.clone()));
        prop_assert!(a.equals(&a) || a.zero_threshold.is_nan());
        prop_assert!(a.quantile(x).is_nan() || a.count != 0.0 || !(0.0..=1.0).contains(&x));
        prop_assert!(a.fraction(x, 1.0).is_nan() || a.count != 0.0);
        prop_assert_eq!(a.iter_all().count(), a.iter_all().rev().count());
        for rank in [x, a.count * 0.5, bucket_total(&a)] {
            let expected = [reach(a.iter_all(), rank), reach(a.iter_all().rev(), rank)];
            let found = [a.reach(rank, true), a.reach(rank, false)];
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn sums_keep_every_observation(a in valid(), b in valid()) {
        let total = bucket_total(&a) + bucket_total(&b);
        let mut sum = a.clone();
        sum.add(&b).unwrap();
        prop_assert_eq!(bucket_total(&sum), total);
        prop_assert_eq!(sum.validate(), Ok(()));
        prop_assert!(!sum.detect_reset(&a), "a sum is above its operands: {} {}", sum, a);
        let mut other = b.clone();
        other.add(&a).unwrap();
        other.compact(0);
        sum.compact(0);
        prop_assert!(sum.equals(&other), "{} and {}", sum, other);
        prop_assert_eq!(bucket_total(&sum), total);
        let mut kahan = a.clone();
        let mut compensation = a.new_compensation();
        kahan.kahan_add(&b, &mut compensation).unwrap();
        kahan.add(&compensation).unwrap();
        kahan.compact(0);
        prop_assert!(kahan.equals(&sum), "{} and {}", kahan, sum);
    }
}

#[test]
fn compensation_of_the_zero_bucket_survives_other_resolutions_and_thresholds() {
    let zero = |schema, zero_threshold, zero_count| FloatHistogram {
        schema,
        zero_threshold,
        zero_count,
        count: zero_count,
        ..FloatHistogram::default()
    };
    let orders = [[1e100, 1.0, -1e100], [1.0, 1e100, -1e100], [1e100, -1e100, 1.0]];
    for counts in orders {
        for thresholds in [[0.5, 1.0, 0.001], [1.0, 0.5, 0.001], [0.001, 0.5, 1.0], [0.5, 0.5, 0.5]] {
            for schemas in [[3, 3, 3], [3, 2, 1], [1, 2, 3], [2, 0, 3]] {
                let mut sum = zero(schemas[0], thresholds[0], counts[0]);
                let mut compensation = sum.new_compensation();
                for i in 1..3 {
                    sum.kahan_add(&zero(schemas[i], thresholds[i], counts[i]), &mut compensation).unwrap();
                }
                sum.add(&compensation).unwrap();
                assert_eq!((sum.zero_count, sum.count), (1.0, 1.0), "{counts:?} {thresholds:?} {schemas:?}");
            }
        }
    }
}

#[test]
fn heap_bytes_are_those_of_all_lists() {
    assert_eq!(FloatHistogram::default().heap_bytes(), 0);
    assert_eq!(size_of::<Span>(), size_of::<f64>());
    let mut h = custom(&[1.0, 2.0], &[3.0, 4.0, 5.0]);
    assert_eq!(h.heap_bytes(), 8 * (1 + 3 + 2));
    h.negative_buckets.reserve_exact(7);
    h.negative_spans.reserve_exact(2);
    assert_eq!(h.heap_bytes(), 8 * (1 + 3 + 2 + 7 + 2));
}

#[test]
fn counts_of_integers_add_up_but_for_observations_of_nan() {
    let of = |count: f64, sum: f64| FloatHistogram {
        count,
        sum,
        zero_count: 1.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![2.0, 3.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![4.0],
        ..FloatHistogram::default()
    };
    assert_eq!(of(10.0, 1.0).validate_integers(), Ok(()));
    let mismatch = |count| Err(HistogramError::CountMismatch { in_buckets: 10.0, count });
    assert_eq!(of(9.0, 1.0).validate_integers(), mismatch(9.0));
    assert_eq!(of(11.0, 1.0).validate_integers(), mismatch(11.0));
    assert_eq!(of(11.0, f64::NAN).validate_integers(), Ok(()), "one of them was NaN");
    assert_eq!(of(9.0, f64::NAN).validate_integers(), mismatch(9.0));
    assert_eq!(of(9.0, mytsdb_model::stale_nan()).validate_integers(), Ok(()));
}
