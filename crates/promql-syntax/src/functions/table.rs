//! The table of functions: one row each, in ascending order of names.

use super::rows::{
    BucketUse, FunctionRow, LabelUse, SampleUse, StepUse, date, elementwise, figure, float_window, number, other,
    time_of_sample, window,
};
use crate::ast::ValueType::{Matrix, Scalar, String, Vector};

macro_rules! functions {
    ($($variant:ident = $row:expr;)*) => {
        /// The functions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is named after its function")]
        pub enum Function {
            $($variant,)*
        }

        impl Function {
            /// All functions, in ascending order of names.
            pub const ALL: [Function; ROWS.len()] = [$(Function::$variant),*];

            /// Everything there is to say about it.
            #[inline]
            pub fn row(self) -> &'static FunctionRow {
                &ROWS[self as usize]
            }
        }

        static ROWS: [FunctionRow; [$(stringify!($variant)),*].len()] = [$($row),*];
    };
}

functions! {
    Abs = elementwise("abs", "The absolute value of each float.");
    Absent = other("absent", &[Vector], "1 where the vector is empty, with the labels that its matchers demand.")
        .steps(StepUse::Arguments).any_order().buckets(BucketUse::Summary);
    AbsentOverTime = other("absent_over_time", &[Matrix], "1 where the window has no samples at all, with the labels that its matchers demand.")
        .steps(StepUse::Arguments).any_order();
    Acos = elementwise("acos", "The arc cosine of each float, in radians.");
    Acosh = elementwise("acosh", "The inverse hyperbolic cosine of each float.");
    Asin = elementwise("asin", "The arc sine of each float, in radians.");
    Asinh = elementwise("asinh", "The inverse hyperbolic sine of each float.");
    Atan = elementwise("atan", "The arc tangent of each float, in radians.");
    Atanh = elementwise("atanh", "The inverse hyperbolic tangent of each float.");
    AvgOverTime = window("avg_over_time", "The average of the samples in the window.");
    Ceil = elementwise("ceil", "The smallest integer that is not below each float.");
    Changes = window("changes", "How often the value changed within the window.")
        .buckets(BucketUse::Buckets).anchored();
    Clamp = elementwise("clamp", "Each float, at least the second and at most the third argument.")
        .args(&[Vector, Scalar, Scalar]);
    ClampMax = elementwise("clamp_max", "Each float, at most the second argument.").args(&[Vector, Scalar]);
    ClampMin = elementwise("clamp_min", "Each float, at least the second argument.").args(&[Vector, Scalar]);
    Cos = elementwise("cos", "The cosine of each float, which is in radians.");
    Cosh = elementwise("cosh", "The hyperbolic cosine of each float.");
    CountOverTime = window("count_over_time", "The number of samples in the window.");
    DayOfMonth = date("day_of_month", "The day of the month, 1 to 31, of each float as a Unix time (UTC).");
    DayOfWeek = date("day_of_week", "The day of the week, 0 (Sunday) to 6, of each float as a Unix time (UTC).");
    DayOfYear = date("day_of_year", "The day of the year, 1 to 366, of each float as a Unix time (UTC).");
    DaysInMonth = date("days_in_month", "The number of days of the month, of each float as a Unix time (UTC).");
    Deg = elementwise("deg", "Each float from radians to degrees.");
    Delta = window("delta", "The difference between the ends of the window, extrapolated to its bounds; for gauges.")
        .anchored().smoothed();
    Deriv = float_window("deriv", "The derivative per second by linear regression; for gauges.");
    DoubleExponentialSmoothing = float_window("double_exponential_smoothing", "The smoothed value by a smoothing factor and a trend factor, both between 0 and 1.")
        .args(&[Matrix, Scalar, Scalar]).experimental();
    End = number("end", &[], "The time of the query's last step, in seconds.").steps(StepUse::Query).experimental();
    Exp = elementwise("exp", "e to the power of each float.");
    FirstOverTime = window("first_over_time", "The oldest sample in the window.").labels(LabelUse::Keeps);
    Floor = elementwise("floor", "The largest integer that is not above each float.");
    HistogramAvg = figure("histogram_avg", "The average of what each native histogram observed.")
        .buckets(BucketUse::Summary);
    HistogramCount = figure("histogram_count", "How many observations are in each native histogram.")
        .buckets(BucketUse::Summary);
    HistogramFraction = other("histogram_fraction", &[Scalar, Scalar, Vector], "The estimated share of observations between two bounds.")
        .steps(StepUse::Arguments).buckets(BucketUse::Buckets);
    HistogramQuantile = other("histogram_quantile", &[Scalar, Vector], "The estimated quantile of what was observed; the first argument is between 0 and 1.")
        .steps(StepUse::Arguments).buckets(BucketUse::Buckets);
    HistogramQuantiles = other("histogram_quantiles", &[Vector, String, Scalar, Scalar], "Several estimated quantiles, told apart by the label that the second argument names.")
        .variadic(9).steps(StepUse::Arguments).buckets(BucketUse::Buckets).experimental();
    HistogramStddev = figure("histogram_stddev", "The estimated standard deviation of what each native histogram observed.")
        .buckets(BucketUse::Buckets);
    HistogramStdvar = figure("histogram_stdvar", "The estimated variance of what each native histogram observed.")
        .buckets(BucketUse::Buckets);
    HistogramSum = figure("histogram_sum", "The sum of what each native histogram observed.")
        .buckets(BucketUse::Summary);
    Hour = date("hour", "The hour, 0 to 23, of each float as a Unix time (UTC).");
    Idelta = window("idelta", "The difference between the last two samples of the window; for gauges.");
    Increase = window("increase", "How much a counter grew in the window, extrapolated to its bounds.")
        .wants_counter().anchored().smoothed();
    Info = other("info", &[Vector, Vector], "Adds the labels of matching info series, like target_info.")
        .variadic(1).steps(StepUse::FirstArgument).experimental();
    Integral = float_window("integral", "The area below the samples of the window, in seconds times their unit; the second argument chooses how.")
        .args(&[Matrix, Scalar]).variadic(1).experimental();
    Irate = window("irate", "The growth of a counter per second, by the last two samples of the window.");
    LabelJoin = other("label_join", &[Vector, String, String, String], "Sets a label to the values of others with a separator between them.")
        .variadic(-1).steps(StepUse::Arguments);
    LabelReplace = other("label_replace", &[Vector, String, String, String, String], "Sets a label to what a regular expression finds in another one.")
        .steps(StepUse::Arguments);
    LastOverTime = window("last_over_time", "The newest sample in the window.").labels(LabelUse::Keeps);
    Ln = elementwise("ln", "The natural logarithm of each float.");
    Log10 = elementwise("log10", "The decimal logarithm of each float.");
    Log2 = elementwise("log2", "The binary logarithm of each float.");
    MadOverTime = float_window("mad_over_time", "The median absolute deviation of the floats in the window.").experimental();
    MaxOf = number("max_of", &[Scalar, Scalar], "The greater of two numbers.").experimental();
    MaxOverTime = float_window("max_over_time", "The greatest float in the window.");
    MinOf = number("min_of", &[Scalar, Scalar], "The smaller of two numbers.").experimental();
    MinOverTime = float_window("min_over_time", "The smallest float in the window.");
    Minute = date("minute", "The minute, 0 to 59, of each float as a Unix time (UTC).");
    Month = date("month", "The month, 1 to 12, of each float as a Unix time (UTC).");
    Pi = number("pi", &[], "The circle's circumference by its diameter.");
    PredictLinear = float_window("predict_linear", "The value so many seconds from now, by linear regression; for gauges.")
        .args(&[Matrix, Scalar]).steps(StepUse::Time);
    PresentOverTime = window("present_over_time", "1 where the window has a sample.");
    QuantileOverTime = float_window("quantile_over_time", "The quantile of the floats in the window; the first argument is between 0 and 1.")
        .args(&[Scalar, Matrix]);
    Rad = elementwise("rad", "Each float from degrees to radians.");
    Range = number("range", &[], "From the query's first step to its last one, in seconds.").steps(StepUse::Query).experimental();
    Rate = window("rate", "The growth of a counter per second, averaged over the window and extrapolated to its bounds.")
        .wants_counter().anchored().smoothed();
    Resets = window("resets", "How often a counter was reset within the window.").anchored();
    Round = elementwise("round", "Each float, rounded to a multiple of the second argument, or of 1; halves go up.")
        .args(&[Vector, Scalar]).variadic(1);
    Scalar = number("scalar", &[Vector], "The float of the only series, NaN if there are none or more.");
    Sgn = elementwise("sgn", "The sign of each float: 1, 0 or -1.");
    Sin = elementwise("sin", "The sine of each float, which is in radians.");
    Sinh = elementwise("sinh", "The hyperbolic sine of each float.");
    Sort = other("sort", &[Vector], "The series in ascending order of their floats; for instant queries.")
        .labels(LabelUse::Keeps).steps(StepUse::Order).samples(SampleUse::Floats);
    SortByLabel = other("sort_by_label", &[Vector, String], "The series in ascending natural order of labels; for instant queries.")
        .variadic(-1).labels(LabelUse::Keeps).steps(StepUse::Arguments).experimental();
    SortByLabelDesc = other("sort_by_label_desc", &[Vector, String], "The series in descending natural order of labels; for instant queries.")
        .variadic(-1).labels(LabelUse::Keeps).steps(StepUse::Arguments).experimental();
    SortDesc = other("sort_desc", &[Vector], "The series in descending order of their floats; for instant queries.")
        .labels(LabelUse::Keeps).steps(StepUse::Order).samples(SampleUse::Floats);
    Sqrt = elementwise("sqrt", "The square root of each float.");
    Start = number("start", &[], "The time of the query's first step, in seconds.").steps(StepUse::Query).experimental();
    StartTimestamp = time_of_sample("start_timestamp", "When the series of each sample began, in seconds, where that is known.").experimental();
    StddevOverTime = float_window("stddev_over_time", "The standard deviation of the floats in the window.");
    StdvarOverTime = float_window("stdvar_over_time", "The variance of the floats in the window.");
    Step = number("step", &[], "The time between the query's steps, in seconds.").steps(StepUse::Query).experimental();
    SumOverTime = window("sum_over_time", "The sum of the samples in the window.");
    Tan = elementwise("tan", "The tangent of each float, which is in radians.");
    Tanh = elementwise("tanh", "The hyperbolic tangent of each float.");
    Time = number("time", &[], "The time of the step, in seconds.").steps(StepUse::Time);
    Timestamp = time_of_sample("timestamp", "The time of each sample, in seconds.").steps(StepUse::TimeUnlessSelector);
    TsOfFirstOverTime = window("ts_of_first_over_time", "The time of the oldest sample in the window, in seconds.").experimental();
    TsOfLastOverTime = window("ts_of_last_over_time", "The time of the newest sample in the window, in seconds.").experimental();
    TsOfMaxOverTime = float_window("ts_of_max_over_time", "The time of the last of the greatest floats in the window, in seconds.").experimental();
    TsOfMinOverTime = float_window("ts_of_min_over_time", "The time of the last of the smallest floats in the window, in seconds.").experimental();
    Vector = other("vector", &[Scalar], "The number as a series without labels.")
        .steps(StepUse::Arguments).any_order();
    Year = date("year", "The year of each float as a Unix time (UTC).");
}
