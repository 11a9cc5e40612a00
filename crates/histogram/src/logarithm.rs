//! Logarithms and powers of two as Go computes them, so that interpolated values are Prometheus' to the last bit.
//!
//! The algorithms are those of FreeBSD's `e_log.c` and `e_exp.c`, from which Go's `math` has them: operations and their
//! order decide about the last bit. Errors are below 1 ulp, but for [`log2`] near 1, where they are below that of 1.

/// High and low part of ln 2.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// Fraction in 0.5..1 and exponent of a positive finite number.
fn split(value: f64) -> (f64, i32) {
    let (value, scaled) = if value < f64::MIN_POSITIVE { (value * 2f64.powi(52), 52) } else { (value, 0) };
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    (f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52)), exponent - scaled)
}

/// The natural logarithm.
#[must_use]
pub fn ln(value: f64) -> f64 {
    if value.is_nan() || value == f64::INFINITY {
        return value;
    }
    if value <= 0.0 {
        return if value == 0.0 { f64::NEG_INFINITY } else { f64::NAN };
    }
    let (mut fraction, mut exponent) = split(value);
    if fraction < std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let f = fraction - 1.0;
    let k = f64::from(exponent);
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let odd = s2
        * (f64::from_bits(0x3fe5_5555_5555_5593)
            + s4 * (f64::from_bits(0x3fd2_4924_9422_9359)
                + s4 * (f64::from_bits(0x3fc7_4664_96cb_03de) + s4 * f64::from_bits(0x3fc2_f112_df3e_5244))));
    let even = s4
        * (f64::from_bits(0x3fd9_9999_9997_fa04)
            + s4 * (f64::from_bits(0x3fcc_71c5_1d8e_78af) + s4 * f64::from_bits(0x3fc3_9a09_d078_c69f)));
    let half_square = 0.5 * f * f;
    k * LN2_HIGH - ((half_square - (s * (half_square + (odd + even)) + k * LN2_LOW)) - f)
}

/// The binary logarithm.
#[must_use]
pub fn log2(value: f64) -> f64 {
    if value.is_nan() || value <= 0.0 || value == f64::INFINITY {
        return ln(value);
    }
    let (fraction, exponent) = split(value);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    ln(fraction) * (1.0 / std::f64::consts::LN_2) + f64::from(exponent)
}

/// 2 to the power of `value`.
#[must_use]
pub fn exp2(value: f64) -> f64 {
    if value.is_nan() {
        return value;
    }
    if value > 1_023.999_999_999_999_9 {
        return f64::INFINITY;
    }
    if value < -1074.0 {
        return 0.0;
    }
    let k = (value + if value > 0.0 { 0.5 } else { -0.5 }) as i32;
    let k = if value == 0.0 { 0 } else { k };
    let t = value - f64::from(k);
    let (high, low) = (t * LN2_HIGH, -t * LN2_LOW);
    let r = high - low;
    let t = r * r;
    let c = r - t
        * (f64::from_bits(0x3fc5_5555_5555_5555)
            + t * (f64::from_bits(0xbf66_c16c_16be_bd93)
                + t * (f64::from_bits(0x3f11_566a_af25_de2c)
                    + t * (f64::from_bits(0xbebb_bd41_c5d2_6bf1) + t * f64::from_bits(0x3e66_3769_72be_a4d0)))));
    let y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    // In two steps: one factor alone may be too small or too large for a float.
    let half = k / 2;
    y * 2f64.powi(half) * 2f64.powi(k - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_go() {
        assert_eq!(ln(3.0).to_bits(), 1.098_612_288_668_109_6f64.to_bits());
        assert_eq!(log2(8.0), 3.0);
        assert_eq!(exp2(10.0), 1024.0);
        assert_eq!(exp2(-1074.0), 5e-324);
        assert_eq!((ln(0.0), log2(0.0), log2(f64::INFINITY)), (f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY));
        assert!(ln(-1.0).is_nan() && log2(f64::NAN).is_nan());
    }

    #[test]
    fn errors_are_small() {
        for i in 1..100_000 {
            let value = f64::from(i) * 0.037;
            let close = |a: f64, b: f64| (a - b).abs() <= 4e-16 * b.abs();
            assert!(close(ln(value), value.ln()), "{value}");
            assert!((log2(value) - value.log2()).abs() <= 4e-16 * value.log2().abs().max(1.0), "{value}");
            assert!(close(exp2(value / 7.0 - 250.0), (value / 7.0 - 250.0).exp2()), "{value}");
        }
    }
}
