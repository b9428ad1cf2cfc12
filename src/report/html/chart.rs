//! Charts as SVG: a square of axes from 0 to 1, and histograms of two classes.

use std::fmt::Write as _;

/// Side of the plotted square.
const SIDE: f64 = 300.0;
/// Room for labels on the left and below.
const MARGIN: f64 = 40.0;

/// A chart under construction.
pub(super) struct Chart {
    body: String,
}

impl Chart {
    /// Axes with the ticks (position 0 to 1, label) of each.
    pub(super) fn new(x_label: &str, y_label: &str, x: &[(f64, String)], y: &[(f64, String)]) -> Chart {
        let mut chart = Chart { body: String::new() };
        let (left, top, right, bottom) = (MARGIN, 8.0, MARGIN + SIDE, 8.0 + SIDE);
        chart.push(&format!(
            "<rect class=\"axis\" x=\"{left}\" y=\"{top}\" width=\"{SIDE}\" height=\"{SIDE}\" />"
        ));
        for (at, label) in x {
            let at = left + at * SIDE;
            chart.push(&format!(
                "<line class=\"axis\" x1=\"{at:.1}\" y1=\"{bottom}\" x2=\"{at:.1}\" y2=\"{}\" />",
                bottom + 4.0
            ));
            chart.push(&format!(
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                bottom + 16.0
            ));
        }
        for (at, label) in y {
            let at = bottom - at * SIDE;
            chart.push(&format!(
                "<line class=\"axis\" x1=\"{}\" y1=\"{at:.1}\" x2=\"{left}\" y2=\"{at:.1}\" />",
                left - 4.0
            ));
            chart.push(&format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 7.0,
                at + 4.0
            ));
        }
        let middle = left + SIDE / 2.0;
        chart.push(&format!(
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{x_label}</text>",
            bottom + 32.0
        ));
        chart.push(&format!("<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{y_label}</text>", top + 12.0));
        chart
    }

    /// Axes from 0 to 1.
    pub(super) fn unit(x_label: &str, y_label: &str) -> Chart {
        let ticks: Vec<(f64, String)> =
            [0.0, 0.25, 0.5, 0.75, 1.0].iter().map(|at| (*at, format!("{at}"))).collect();
        Chart::new(x_label, y_label, &ticks, &ticks)
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// A line through points of the unit square.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (x, y) in points {
            // writing to a String cannot fail
            let _ = write!(path, "{:.2},{:.2} ", MARGIN + x * SIDE, 8.0 + (1.0 - y) * SIDE);
        }
        self.push(&format!("<polyline class=\"{class}\" points=\"{}\" />", path.trim_end()));
    }

    /// A dot with a title that shows under the pointer.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        let (x, y) = (MARGIN + x * SIDE, 8.0 + (1.0 - y) * SIDE);
        self.push(&format!(
            "<circle class=\"{class}\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius:.1}\"><title>{title}</title></circle>"
        ));
    }

    /// A bar from the bottom, from `from` to `to` of the width.
    pub(super) fn bar(&mut self, class: &str, (from, to): (f64, f64), height: f64, title: &str) {
        let (x, width) = (MARGIN + from * SIDE, (to - from) * SIDE);
        let (y, height) = (8.0 + (1.0 - height) * SIDE, height * SIDE);
        self.push(&format!(
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"><title>{title}</title></rect>"
        ));
    }

    /// The figure.
    pub(super) fn finish(self, label: &str, caption: &str) -> String {
        let (width, height) = (MARGIN + SIDE + 12.0, SIDE + 48.0);
        format!(
            "<figure>\n<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">\n{}</svg>\n\
             <figcaption>{caption}</figcaption>\n</figure>\n",
            self.body
        )
    }
}
