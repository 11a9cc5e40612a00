//! The text form that `count_values` and error messages show.

use std::fmt;

use super::{Bucket, FloatHistogram};

/// `{count:10, sum:3.5, [-2,-1):1, [-0.01,0.01]:2, (1,2]:7}`: empty buckets are left out, the hint is never shown.
impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", General(self.count), General(self.sum))?;
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        for bucket in self.iter_negative().rev().chain(zero).chain(self.iter_positive()) {
            if bucket.count != 0.0 {
                write!(f, ", {bucket}")?;
            }
        }
        f.write_str("}")
    }
}

/// `(1,2]:7`
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}:{}", General(self.lower), General(self.upper), General(self.count))
    }
}

/// A float as C's and Go's `%g` with the shortest digits that read back: exponents outside of -4..6 are written `e+06`.
struct General(f64);

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        }
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').expect("`{:e}` of a finite float has an exponent");
        let exponent: i32 = exponent.parse().expect("`{:e}` ends in an integer");
        if (-4..6).contains(&exponent) {
            return write!(f, "{value}");
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(f, "{digits}e{sign}{:02}", exponent.unsigned_abs())
    }
}
