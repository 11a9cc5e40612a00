//! The kernels that compute windows.

/// Which kernel runs over the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    Avg,
    Changes,
    Count,
    Deriv,
    DoubleExponential,
    First,
    Increase { counter: bool, rate: bool },
    Instantaneous { rate: bool },
    Integral,
    Last,
    Mad,
    Max,
    Min,
    PredictLinear,
    Present,
    Quantile,
    Resets,
    Stddev,
    Stdvar,
    Sum,
    TimeOfFirst,
    TimeOfLast,
    TimeOfMax,
    TimeOfMin,
}
