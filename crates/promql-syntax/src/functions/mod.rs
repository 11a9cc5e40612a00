//! What each function is: its signature, and what may be relied on when a query is rewritten.

#[cfg(test)]
mod page;
mod rows;
mod table;

pub use rows::{BucketUse, FunctionRow, LabelUse, SampleUse, StepUse};
pub use table::Function;

impl Function {
    /// Looks a function up by its exact name.
    pub fn by_name(name: &str) -> Option<Function> {
        Self::ALL.binary_search_by(|function| function.name().cmp(name)).ok().map(|at| Self::ALL[at])
    }

    /// The name, in lower case.
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::ValueType;

    #[test]
    fn names_ascend_and_lead_to_their_functions() {
        assert!(Function::ALL.is_sorted_by(|a, b| a.name() < b.name()));
        assert!(Function::ALL.iter().all(|&function| Function::by_name(function.name()) == Some(function)));
        assert!(Function::by_name("RATE").is_none(), "names are case-sensitive");
        // A variant is called as its function, so that the order of one is that of the other.
        for function in Function::ALL {
            let variant = format!("{function:?}").to_lowercase();
            assert_eq!(variant, function.name().replace('_', ""));
        }
    }

    #[test]
    fn rows_agree_with_their_signatures() {
        for function in Function::ALL {
            let row = function.row();
            let name = row.name;
            assert!(row.doc.ends_with('.') && row.doc.len() > 10, "{name}: {}", row.doc);
            assert_eq!(row.returns == ValueType::Scalar, row.labels == LabelUse::Nothing, "{name}");
            let windowed = row.args.contains(&ValueType::Matrix);
            assert!(windowed || !(row.anchored || row.smoothed || row.wants_counter), "{name}");
            let optional = matches!(row.steps, StepUse::TimeWithoutArgument);
            assert!(!optional || row.variadic == 1 && row.args.len() == 1, "{name}");
            // An argument that makes the labels may be of any kind; one whose labels are kept is a vector.
            let vector = row.args.iter().any(|kind| matches!(kind, ValueType::Vector | ValueType::Matrix));
            assert!(vector || matches!(row.labels, LabelUse::Makes | LabelUse::Nothing), "{name}");
            assert!((-1..=9).contains(&row.variadic) && (row.variadic == 0 || !row.args.is_empty()), "{name}");
        }
    }

    #[test]
    fn signatures_tell_what_may_be_left_out() {
        let of = |name| Function::by_name(name).unwrap().row().signature();
        assert_eq!(of("round"), "round(instant vector, scalar?) instant vector");
        assert_eq!(of("rate"), "rate(range vector) instant vector");
        assert_eq!(of("label_join"), "label_join(instant vector, string, string, string…) instant vector");
        assert_eq!(of("time"), "time() scalar");
    }

    #[test]
    fn what_a_row_does_not_say_forbids_every_rewrite() {
        let careful = rows::other("x", &[ValueType::Vector], "A function that nobody has judged yet.");
        assert_eq!((careful.labels, careful.steps), (LabelUse::Makes, StepUse::Time));
        assert!(careful.order_sensitive && !careful.anchored && !careful.smoothed);
    }
}
