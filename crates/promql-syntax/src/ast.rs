//! The syntax tree of a query; every node knows the bytes it was read from.

use crate::functions::Function;
use crate::pos::PosRange;
use mytsdb_model::Matcher;

/// A PromQL expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `sum by (job) (…)`
    Aggregate(Box<AggregateExpr>),
    /// `a + b`
    Binary(Box<BinaryExpr>),
    /// `rate(…)`
    Call(Box<Call>),
    /// `metric[5m]`
    Matrix(Box<MatrixSelector>),
    /// `expr[5m:1m]`
    Subquery(Box<SubqueryExpr>),
    /// `1.5`
    Number(NumberLiteral),
    /// `"text"`
    String(StringLiteral),
    /// `(expr)`
    Paren(Box<ParenExpr>),
    /// `-expr`
    Unary(Box<UnaryExpr>),
    /// `metric{job="x"}`
    Vector(Box<VectorSelector>),
}

/// What an expression evaluates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A number for each step.
    Scalar,
    /// A text.
    String,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

impl ValueType {
    /// The short name, as the API's `resultType` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
        }
    }

    /// The name that the documentation and error messages use.
    pub const fn documented(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
        }
    }
}

impl Expr {
    /// The bytes of the query that this expression was read from.
    pub fn pos(&self) -> PosRange {
        match self {
            Expr::Aggregate(e) => e.pos,
            Expr::Binary(e) => e.pos(),
            Expr::Call(e) => e.pos,
            Expr::Matrix(e) => e.pos(),
            Expr::Subquery(e) => e.pos(),
            Expr::Number(e) => e.pos,
            Expr::String(e) => e.pos,
            Expr::Paren(e) => e.pos,
            Expr::Unary(e) => e.pos(),
            Expr::Vector(e) => e.pos,
        }
    }

    /// The type of the expression's value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Expr::Aggregate(_) | Expr::Vector(_) => ValueType::Vector,
            Expr::Binary(e) => e.value_type(),
            Expr::Call(e) => e.function.row().returns,
            Expr::Matrix(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Number(_) => ValueType::Scalar,
            Expr::String(_) => ValueType::String,
            Expr::Paren(e) => e.expr.value_type(),
            Expr::Unary(e) => e.expr.value_type(),
        }
    }

    /// The expression inside any number of parentheses.
    #[must_use]
    pub fn unwrap_parens(&self) -> &Expr {
        let mut expr = self;
        while let Expr::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }
}

/// `op by|without (grouping) (param, expr)`
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateExpr {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The parameter of `topk`, `quantile`, `count_values` and their like.
    pub param: Option<Expr>,
    /// The labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// `without` instead of `by`.
    pub without: bool,
    /// From the operator to the last closing parenthesis.
    pub pos: PosRange,
}

/// The aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after its operator")]
pub enum AggregateOp {
    Avg,
    Bottomk,
    Count,
    CountValues,
    Group,
    LimitRatio,
    Limitk,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    Topk,
}

impl AggregateOp {
    /// All operators, in the order of their keywords.
    pub const ALL: [AggregateOp; 14] = [
        AggregateOp::Avg,
        AggregateOp::Bottomk,
        AggregateOp::Count,
        AggregateOp::CountValues,
        AggregateOp::Group,
        AggregateOp::LimitRatio,
        AggregateOp::Limitk,
        AggregateOp::Max,
        AggregateOp::Min,
        AggregateOp::Quantile,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::Sum,
        AggregateOp::Topk,
    ];

    /// The operator's keyword.
    pub const fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Avg => "avg",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::Count => "count",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Group => "group",
            AggregateOp::LimitRatio => "limit_ratio",
            AggregateOp::Limitk => "limitk",
            AggregateOp::Max => "max",
            AggregateOp::Min => "min",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Sum => "sum",
            AggregateOp::Topk => "topk",
        }
    }

    /// Whether the operator takes a parameter before the vector.
    pub const fn has_param(self) -> bool {
        matches!(
            self,
            AggregateOp::Bottomk
                | AggregateOp::CountValues
                | AggregateOp::LimitRatio
                | AggregateOp::Limitk
                | AggregateOp::Quantile
                | AggregateOp::Topk
        )
    }

    /// Whether Prometheus asks for a feature flag.
    pub const fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::LimitRatio | AggregateOp::Limitk)
    }
}

/// `lhs op modifiers rhs`
///
/// `a + b + c` leans to the left: the operand `lhs` of an operator is the operator before. Such a chain may be long, so
/// whatever looks at syntax trees follows [`BinaryExpr::chain`] instead of calling itself for `lhs`.
#[derive(Debug)]
pub struct BinaryExpr {
    /// The operator.
    pub op: BinaryOp,
    /// Left operand.
    pub lhs: Expr,
    /// Right operand.
    pub rhs: Expr,
    /// How series are paired; `None` unless both operands are vectors.
    pub matching: Option<VectorMatching>,
    /// `bool`: comparisons give 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// First byte of the left operand. Rewriting an operand does not move it.
    pub(crate) start: usize,
    /// Both operands are scalars. Rewriting an operand does not change its type.
    pub(crate) scalar: bool,
}

/// The binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after its operator")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    /// `</`: keeps the observations of a histogram below a bound.
    TrimUpper,
    /// `>/`: keeps the observations of a histogram above a bound.
    TrimLower,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// The operator as written.
    pub const fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::NotEq => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEq => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEq => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>` or `>=`.
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Eq
                | BinaryOp::NotEq
                | BinaryOp::Less
                | BinaryOp::LessEq
                | BinaryOp::Greater
                | BinaryOp::GreaterEq
        )
    }

    /// `and`, `or` or `unless`.
    pub const fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// Binding strength; `^` alone associates to the right.
    pub(crate) const fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Less
            | BinaryOp::LessEq
            | BinaryOp::Greater
            | BinaryOp::GreaterEq
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            BinaryOp::Pow => 6,
        }
    }
}

/// How many series of each side may share a match group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One on each side.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// The modifiers that pair the series of two vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorMatching {
    /// Who may have many.
    pub cardinality: Cardinality,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// `on` instead of `ignoring`.
    pub on: bool,
    /// Labels copied from the "one" side.
    pub include: Vec<String>,
    /// Value of a series that is missing on the left.
    pub fill_left: Option<f64>,
    /// Value of a series that is missing on the right.
    pub fill_right: Option<f64>,
}

impl Default for VectorMatching {
    fn default() -> Self {
        Self {
            cardinality: Cardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        }
    }
}

/// `function(args…)`
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function.
    pub function: Function,
    /// Arguments as written; optional ones may be missing.
    pub args: Vec<Expr>,
    /// From the name to the closing parenthesis.
    pub pos: PosRange,
}

/// `@ start()` or `@ end()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtBound {
    /// The first step of the query.
    Start,
    /// The last step of the query.
    End,
}

/// `name{matchers} offset … @ …`
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces; empty if there is none.
    pub name: String,
    /// All matchers; that of `name` is the last one.
    pub matchers: Vec<Matcher>,
    /// Offset into the past.
    pub offset_ms: i64,
    /// An offset that has to be computed; [`VectorSelector::offset_ms`] is 0 then.
    pub offset_expr: Option<DurationExpr>,
    /// `@ <seconds>`
    pub timestamp_ms: Option<i64>,
    /// `@ start()` or `@ end()`
    pub at: Option<AtBound>,
    /// `anchored`
    pub anchored: bool,
    /// `smoothed`
    pub smoothed: bool,
    /// The second argument of `info()`: need not select anything by itself.
    pub label_selector_only: bool,
    /// The selector; with offset and `@` unless they belong to a range around it.
    pub pos: PosRange,
}

/// `selector[range]`
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// The selector, which also carries the offset and `@`.
    pub selector: VectorSelector,
    /// Width of the window.
    pub range_ms: i64,
    /// A width that has to be computed; [`MatrixSelector::range_ms`] is 0 then.
    pub range_expr: Option<DurationExpr>,
    /// First byte after the selector and its modifiers.
    pub end: usize,
}

impl MatrixSelector {
    /// From the selector to its last modifier.
    pub fn pos(&self) -> PosRange {
        PosRange::new(self.selector.pos.start, self.end)
    }
}

/// `expr[range:step]`
#[derive(Debug, Clone, PartialEq)]
pub struct SubqueryExpr {
    /// What is evaluated at each inner step.
    pub expr: Expr,
    /// Width of the window.
    pub range_ms: i64,
    /// A width that has to be computed.
    pub range_expr: Option<DurationExpr>,
    /// Inner step; 0 = the default.
    pub step_ms: i64,
    /// A step that has to be computed.
    pub step_expr: Option<DurationExpr>,
    /// Offset into the past.
    pub offset_ms: i64,
    /// An offset that has to be computed.
    pub offset_expr: Option<DurationExpr>,
    /// `@ <seconds>`
    pub timestamp_ms: Option<i64>,
    /// `@ start()` or `@ end()`
    pub at: Option<AtBound>,
    /// First byte after the subquery and its modifiers.
    pub end: usize,
}

impl SubqueryExpr {
    /// From the inner expression to the last modifier.
    pub fn pos(&self) -> PosRange {
        PosRange::new(self.expr.pos().start, self.end)
    }
}

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberLiteral {
    /// Its value; seconds if written as a duration.
    pub value: f64,
    /// Written as a duration, like `5m`.
    pub duration: bool,
    /// With its sign.
    pub pos: PosRange,
}

/// A quoted text. PromQL strings are bytes, not necessarily UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLiteral {
    /// The bytes after unquoting.
    pub value: Vec<u8>,
    /// With its quotes.
    pub pos: PosRange,
}

impl StringLiteral {
    /// The text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

/// `(expr)`
#[derive(Debug, Clone, PartialEq)]
pub struct ParenExpr {
    /// The inner expression.
    pub expr: Expr,
    /// With the parentheses.
    pub pos: PosRange,
}

/// `+expr` or `-expr`
#[derive(Debug, Clone, PartialEq)]
pub struct UnaryExpr {
    /// `-` instead of `+`.
    pub negative: bool,
    /// The operand.
    pub expr: Expr,
    /// Position of the sign.
    pub start: usize,
}

impl UnaryExpr {
    /// From the sign to the end of the operand.
    pub fn pos(&self) -> PosRange {
        PosRange::new(self.start, self.expr.pos().end)
    }
}

/// Arithmetic over durations, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationExpr {
    /// A literal.
    Number(NumberLiteral),
    /// An operation.
    Operation(Box<DurationOperation>),
}

impl DurationExpr {
    /// The bytes of the expression.
    pub fn pos(&self) -> PosRange {
        match self {
            DurationExpr::Number(n) => n.pos,
            DurationExpr::Operation(o) => o.pos,
        }
    }
}

/// One operation of a [`DurationExpr`].
#[derive(Debug, Clone, PartialEq)]
pub struct DurationOperation {
    /// The operator.
    pub op: DurationOp,
    /// Left operand; missing for signs, `step()` and `range()`.
    pub lhs: Option<DurationExpr>,
    /// Right operand; missing for `step()` and `range()`.
    pub rhs: Option<DurationExpr>,
    /// Written in parentheses.
    pub wrapped: bool,
    /// The bytes of the operation.
    pub pos: PosRange,
}

/// The operators of a [`DurationExpr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after its operator")]
pub enum DurationOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Step,
    Range,
    MinOf,
    MaxOf,
}

impl DurationOp {
    /// The operator or the function's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            DurationOp::Add => "+",
            DurationOp::Sub => "-",
            DurationOp::Mul => "*",
            DurationOp::Div => "/",
            DurationOp::Mod => "%",
            DurationOp::Pow => "^",
            DurationOp::Step => "step",
            DurationOp::Range => "range",
            DurationOp::MinOf => "min_of",
            DurationOp::MaxOf => "max_of",
        }
    }
}
