//! What random queries may name, and who judges their answers.

/// Who judges the answers, which decides what is worth asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Our plain evaluation, bit by bit: sums over windows are asked of integers alone, since shortcuts may add in another
    /// order.
    PlainEvaluation,
    /// Another program, to the last digits but a few: sorts stand outside alone, since the order of series decides about
    /// ties, and over a range it is not defined.
    OtherProgram,
}

/// What the data have that random queries ask about: series with the labels `job` (`j0` to `j2`) and `instance` (from 0).
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Who judges the answers.
    pub judge: Judge,
    /// Names of metrics, those that are wanted more often several times.
    pub names: &'static [&'static str],
    /// Selectors that are wanted now and then.
    pub rare: &'static [&'static str],
    /// Metrics of histograms, native or classic.
    pub histograms: &'static [&'static str],
    /// A metric whose values are small integers.
    pub integers: &'static str,
    /// A metric whose values are Unix times.
    pub times: &'static str,
    /// Selectors of info series without a name.
    pub infos: &'static [&'static str],
    /// The samples are not before this Unix time ...
    pub from_s: i64,
    /// ... and lie within so many seconds.
    pub span_s: u64,
}
