//! Tables of figures, a column for each who was measured: as Markdown, and as HTML.
#![expect(clippy::format_push_string, reason = "a page is written once; what reads best is cheapest")]

use super::plot::{escape, short};

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
    /// Of the first of each pair of columns, the lower one.
    LowerOfPairs,
    /// There is no better.
    Neither,
}

/// A figure of everybody.
#[derive(Debug)]
pub(super) struct Row {
    /// What links name it by.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) better: Better,
    /// A cell for each column.
    pub(super) cells: Vec<Option<f64>>,
}

impl Row {
    /// The column that has the best figure, if there are two to compare; it is ahead if no other shows the same.
    pub(super) fn best(&self) -> Option<usize> {
        let stride = if self.better == Better::LowerOfPairs { 2 } else { 1 };
        let known = || {
            let cells = self.cells.iter().enumerate().step_by(stride);
            cells.filter_map(|(column, cell)| Some((column, (*cell)?)))
        };
        if known().count() < 2 || self.better == Better::Neither {
            return None;
        }
        let sign = if self.better == Better::Higher { -1.0 } else { 1.0 };
        let (best, value) = known().min_by(|a, b| (a.1 * sign).total_cmp(&(b.1 * sign)))?;
        let alone = known().all(|(column, other)| column == best || short(other) != short(value));
        alone.then_some(best)
    }
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: String,
    /// What the first column is.
    pub(super) what: &'static str,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// The table, with a heading of its own; each row has an anchor, and says who is ahead where several can be.
    pub(super) fn markdown(&self) -> String {
        let compared = self.rows.iter().any(|row| row.best().is_some());
        let ahead = if compared { " ahead |" } else { "" };
        let mut out = format!("## {}\n\n| {} | {} |{ahead}\n", self.title, self.what, self.columns.join(" | "));
        out += &format!("|---|{}{}\n", "--:|".repeat(self.columns.len()), if compared { "---|" } else { "" });
        for row in &self.rows {
            let best = row.best();
            out += &format!("| <a id=\"{}\"></a>{} |", row.id, row.name.replace('|', "\\|"));
            for (column, cell) in row.cells.iter().enumerate() {
                let text = cell.map_or_else(|| "-".to_owned(), short);
                out += &if best == Some(column) { format!(" **{text}** |") } else { format!(" {text} |") };
            }
            if compared {
                out += &format!(" {} |", best.map_or("", |column| &self.columns[column]));
            }
            out += "\n";
        }
        out + "\n"
    }

    /// The same for a browser.
    pub(super) fn html(&self) -> String {
        let mut out = format!("<h3>{}</h3><table><tr><th>{}", escape(&self.title), escape(self.what));
        self.columns.iter().for_each(|column| out += &format!("<th>{}", escape(column)));
        for row in &self.rows {
            let best = row.best();
            out += &format!("<tr><td>{}", escape(row.name.trim_matches('`')));
            for (column, cell) in row.cells.iter().enumerate() {
                let class = if best == Some(column) { " class='best'" } else { "" };
                out += &format!("<td{class}>{}", cell.map_or_else(|| "-".to_owned(), short));
            }
        }
        out + "</table>"
    }
}

/// A name for links: lower case, with dashes.
pub(super) fn id(parts: &[&str]) -> String {
    let text = parts.join(" ").to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(better: Better, cells: Vec<Option<f64>>) -> Table {
        let row = Row { id: id(&["acks, 1 M", "p50"]), name: "a | b".to_owned(), better, cells };
        Table {
            title: "t".to_owned(),
            what: "figure",
            columns: vec!["us".to_owned(), "them".to_owned()],
            rows: vec![row],
        }
    }

    #[test]
    fn a_row_says_who_is_ahead() {
        let markdown = table(Better::Lower, vec![Some(2.0), Some(1.0)]).markdown();
        assert!(markdown.contains("| <a id=\"acks-1-m-p50\"></a>a \\| b | 2.00 | **1.00** | them |"), "{markdown}");
        let markdown = table(Better::Higher, vec![Some(2.0), Some(1.0)]).markdown();
        assert!(markdown.contains("| **2.00** | 1.00 | us |"), "{markdown}");
    }

    #[test]
    fn nobody_is_ahead_alone_by_the_same_or_where_there_is_no_better() {
        for (better, cells) in [
            (Better::Lower, vec![Some(1.001), Some(1.002)]),
            (Better::Lower, vec![Some(1.0), None]),
            (Better::Neither, vec![Some(1.0), Some(2.0)]),
        ] {
            let markdown = table(better, cells).markdown();
            assert!(!markdown.contains("ahead") && !markdown.contains("**"), "{markdown}");
        }
    }

    #[test]
    fn html_is_escaped_and_marks_the_best() {
        let mut table = table(Better::Lower, vec![Some(2.0), Some(1.0)]);
        table.rows[0].name = "`a < b`".to_owned();
        let html = table.html();
        assert!(html.contains("<td>a &lt; b<td>2.00<td class='best'>1.00"), "{html}");
    }
}
