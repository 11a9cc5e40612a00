//! Plots as SVG, without scripts: lines over a linear or logarithmic axis, and bars.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
/// Room for labels on the left and below.
const MARGIN: f64 = 60.0;
const COLORS: [&str; 4] = ["#1f6fb4", "#d9541e", "#3a9d4a", "#8a4fb0"];

/// A named list of points.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// How positions along the horizontal axis are made of values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Linear,
    Logarithmic,
}

/// A plot of lines with a title that names both axes.
pub(super) fn lines(title: &str, axis: Axis, lines: &[Line]) -> String {
    let place = |x: f64| if axis == Axis::Logarithmic { x.max(1e-9).log10() } else { x };
    let points = || lines.iter().flat_map(|line| &line.points);
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (left, right) = bounds(&mut points().map(|(x, _)| place(*x)));
    let (_, top) = bounds(&mut points().map(|(_, y)| *y));
    if !left.is_finite() || !top.is_finite() {
        return String::new();
    }
    let (width, top) = ((right - left).max(1e-9), top.max(1e-9));
    let x = |value: f64| MARGIN + (place(value) - left) / width * (WIDTH - MARGIN - 10.0);
    let y = |value: f64| HEIGHT - 30.0 - value / top * (HEIGHT - 60.0);
    let mut out = open(title);
    for part in [0.0, 0.5, 1.0] {
        text(&mut out, 4.0, y(top * part), &short(top * part));
        let at = left + width * part;
        let value = if axis == Axis::Logarithmic { 10f64.powf(at) } else { at };
        text(&mut out, x(value) - 20.0, HEIGHT - 10.0, &short(value));
    }
    for (number, line) in lines.iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let path: Vec<String> = line.points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b))).collect();
        write_all(
            &mut out,
            &format!("<polyline fill='none' stroke='{color}' stroke-width='1.5' points='{}'/>", path.join(" ")),
        );
        legend(&mut out, number, &line.name);
    }
    out + "</svg>"
}

/// A plot of bars.
pub(super) fn bars(title: &str, bars: &[(String, f64)]) -> String {
    let top = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if top <= 0.0 {
        return String::new();
    }
    let mut out = open(title);
    for (number, (name, value)) in bars.iter().enumerate() {
        let at = 40.0 + 40.0 * number as f64;
        let length = value / top * (WIDTH - 240.0);
        let color = COLORS[number % COLORS.len()];
        write_all(&mut out, &format!("<rect x='140' y='{at}' width='{length:.1}' height='24' fill='{color}'/>"));
        text(&mut out, 4.0, at + 16.0, name);
        text(&mut out, 146.0 + length, at + 16.0, &short(*value));
    }
    out + "</svg>"
}

fn open(title: &str) -> String {
    let mut out = format!("<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}'>");
    text(&mut out, 4.0, 16.0, title);
    out
}

fn legend(out: &mut String, number: usize, name: &str) {
    let (at, color) = (MARGIN + 160.0 * number as f64, COLORS[number % COLORS.len()]);
    write_all(out, &format!("<rect x='{at}' y='24' width='10' height='10' fill='{color}'/>"));
    text(out, at + 14.0, 33.0, name);
}

fn text(out: &mut String, x: f64, y: f64, text: &str) {
    write_all(out, &format!("<text x='{x:.1}' y='{y:.1}' font-size='12'>{}</text>", escape(text)));
}

fn write_all(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    out.write_str(text).unwrap_or_default();
}

/// Text with the characters escaped that HTML gives a meaning.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}

/// A number with three digits and a unit of thousands.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, " G"),
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 || v == 0.0 => 2,
        _ => 4,
    };
    format!("{scaled:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.0421, 1.5, 23.25, 456.7, 12_345.0, 2_000_000.0].map(short);
        assert_eq!(numbers, ["0.00", "0.0421", "1.50", "23.2", "457", "12.3 k", "2.00 M"]);
    }

    #[test]
    fn a_line_goes_from_edge_to_edge_and_names_are_escaped() {
        let line = Line { name: "<a>".to_owned(), points: vec![(1.0, 0.0), (100.0, 5.0)] };
        let svg = lines("t", Axis::Logarithmic, &[line]);
        assert!(svg.contains("points='60.0,230.0 550.0,30.0'"), "{svg}");
        assert!(svg.contains("&lt;a&gt;") && svg.ends_with("</svg>"));
        assert_eq!(lines("t", Axis::Linear, &[]), "");
    }
}
