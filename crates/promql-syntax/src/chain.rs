//! Chains of binary operators, which lean to the left and may be long: nothing here calls itself for a left operand.

use crate::ast::{BinaryExpr, BinaryOp, Expr, NumberLiteral, ValueType, VectorMatching};
use crate::pos::PosRange;

impl BinaryExpr {
    pub(crate) fn new(op: BinaryOp, lhs: Expr, rhs: Expr, matching: VectorMatching, return_bool: bool) -> Self {
        let scalar = lhs.value_type() == ValueType::Scalar && rhs.value_type() == ValueType::Scalar;
        Self { op, start: lhs.pos().start, scalar, lhs, rhs, matching: Some(matching), return_bool }
    }

    /// The bytes from the left operand to the right one.
    pub fn pos(&self) -> PosRange {
        PosRange::new(self.start, self.rhs.pos().end)
    }

    /// The type of the result.
    pub fn value_type(&self) -> ValueType {
        if self.scalar { ValueType::Scalar } else { ValueType::Vector }
    }

    /// The leftmost operand, and the operators from the one on it to this one.
    pub fn chain(&self) -> (&Expr, Vec<&BinaryExpr>) {
        let mut operators = vec![self];
        let mut operand = &self.lhs;
        while let Expr::Binary(next) = operand {
            operators.push(next);
            operand = &next.lhs;
        }
        operators.reverse();
        (operand, operators)
    }

    /// This operator with other operands.
    fn on(&self, lhs: Expr, rhs: Expr) -> Self {
        Self {
            op: self.op,
            lhs,
            rhs,
            matching: self.matching.clone(),
            return_bool: self.return_bool,
            start: self.start,
            scalar: self.scalar,
        }
    }
}

impl Expr {
    /// Takes the expression out of its tree, which has the number 0 in its place until something else is put there.
    #[must_use]
    pub(crate) fn take(&mut self) -> Expr {
        std::mem::replace(self, Expr::Number(NumberLiteral { value: 0.0, duration: false, pos: PosRange::default() }))
    }

    /// Takes a chain apart: its leftmost operand, and the operators from the outermost one, each without its left operand.
    /// What is no chain is an operand without operators.
    #[must_use]
    #[expect(clippy::vec_box, reason = "the boxes are those of the tree, and go back into it")]
    pub(crate) fn take_apart(&mut self) -> (Expr, Vec<Box<BinaryExpr>>) {
        let mut operators = Vec::new();
        let mut operand = self.take();
        while let Expr::Binary(mut operator) = operand {
            operand = operator.lhs.take();
            operators.push(operator);
        }
        (operand, operators)
    }
}

impl Clone for BinaryExpr {
    fn clone(&self) -> Self {
        let (leftmost, operators) = self.chain();
        let mut lhs = leftmost.clone();
        for operator in &operators[..operators.len() - 1] {
            lhs = Expr::Binary(Box::new(operator.on(lhs, operator.rhs.clone())));
        }
        self.on(lhs, self.rhs.clone())
    }
}

impl PartialEq for BinaryExpr {
    fn eq(&self, other: &Self) -> bool {
        let ((a, left), (b, right)) = (self.chain(), other.chain());
        let same = |(a, b): (&&BinaryExpr, &&BinaryExpr)| {
            a.op == b.op
                && a.return_bool == b.return_bool
                && a.start == b.start
                && a.matching == b.matching
                && a.rhs == b.rhs
        };
        left.len() == right.len() && a == b && left.iter().zip(&right).all(same)
    }
}

impl Drop for BinaryExpr {
    fn drop(&mut self) {
        if matches!(self.lhs, Expr::Binary(_)) {
            // Each operator goes when it has no operator below.
            drop(self.lhs.take_apart());
        }
    }
}
