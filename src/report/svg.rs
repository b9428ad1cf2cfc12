//! The roofline of a device as a picture: what its memory and its arithmetic allow, and where each kernel stands
//! (Williams, Waterman & Patterson, Communications of the ACM 52 (4), 2009).

use std::fmt::Write as _;

use super::escape;
use super::quantity::three_digits;
use crate::bench::{BenchReport, DeviceReport, Line, Outcome, Unit};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
/// Left, right, top, bottom.
const MARGINS: [f64; 4] = [70.0, 250.0, 40.0, 50.0];

/// Operations per byte and 10¹² operations a second of a line; None of one that does no arithmetic, or has no speed.
fn place(line: &Line) -> Option<(f64, f64)> {
    let Outcome::Measured { rate, unit, .. } = &line.outcome else { return None };
    let element_bytes = if line.dtype == "F32" { 4.0 } else { 2.0 };
    let intensity = match line.kernel {
        // seven sums of a pair: three products and additions, two sums, a difference, its square and its sum
        "moments" => 11.0 / (2.0 * element_bytes),
        // three products and additions of a pair
        "row_dots" => 6.0 / (2.0 * element_bytes),
        // 2·n²·k operations on 2·n·k elements
        "all_pairs" => line.n_rows_used as f64 / element_bytes,
        // one addition of a score that is found by its index
        "permuted_traces" => 1.0 / 8.0,
        _ => return None,
    };
    Some(match unit {
        Unit::TeraflopPerSecond => (intensity, *rate),
        Unit::GigabytesPerSecond => (intensity, intensity * rate / 1e3),
    })
}

/// Logarithmic axes.
struct Axes {
    x: [f64; 2],
    y: [f64; 2],
}

impl Axes {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |value: f64, [low, high]: [f64; 2]| (value.log10() - low) / (high - low);
        let [left, right, top, bottom] = MARGINS;
        (
            left + share(x, self.x) * (WIDTH - left - right),
            HEIGHT - bottom - share(y, self.y) * (HEIGHT - top - bottom),
        )
    }
}

/// One picture of every device that has peaks, under each other.
#[must_use]
pub fn roofline(report: &BenchReport) -> String {
    let devices: Vec<&DeviceReport> =
        report.devices.iter().filter(|device| !device.peaks.is_empty()).collect();
    let height = HEIGHT * devices.len().max(1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (idx, device) in devices.iter().enumerate() {
        let _ = writeln!(svg, "<g transform=\"translate(0 {})\">", idx as f64 * HEIGHT);
        of_device(&mut svg, device);
        svg.push_str("</g>\n");
    }
    if devices.is_empty() {
        svg.push_str("<text x=\"20\" y=\"30\">no device with measured peaks</text>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn of_device(svg: &mut String, device: &DeviceReport) {
    let points: Vec<(&Line, (f64, f64))> =
        device.lines.iter().filter_map(|line| Some((line, place(line)?))).collect();
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(1e-3, f64::max);
    let roof = largest(
        &mut device.peaks.iter().filter(|peak| peak.unit == Unit::TeraflopPerSecond).map(|peak| peak.rate),
    );
    let x_end = largest(&mut points.iter().map(|(_, (x, _))| *x)).max(100.0);
    let y_start = points.iter().map(|(_, (_, y))| *y).fold(roof / 100.0, f64::min);
    let axes =
        Axes { x: [-1.0, x_end.log10().ceil()], y: [y_start.log10().floor(), (1.2 * roof).log10().ceil()] };
    let title = format!("{}, tier {}", device.name, device.tier);
    let _ = writeln!(svg, "<text x=\"{}\" y=\"22\" font-size=\"15\">{}</text>", MARGINS[0], xml(&title));
    grid(svg, &axes);
    let bandwidth = device.peaks.iter().find(|peak| peak.unit == Unit::GigabytesPerSecond);
    for peak in device.peaks.iter().filter(|peak| peak.unit == Unit::TeraflopPerSecond) {
        // the slope of memory up to the ceiling of arithmetic
        let ridge = bandwidth.map_or(10_f64.powf(axes.x[0]), |read| peak.rate * 1e3 / read.rate);
        let first = 10_f64.powf(axes.x[0]).min(ridge);
        let slope = bandwidth.map_or(peak.rate, |read| first * read.rate / 1e3);
        let places = [(first, slope), (ridge, peak.rate), (10_f64.powf(axes.x[1]), peak.rate)];
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| axes.at(*x, y.max(10_f64.powf(axes.y[0]))))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#333\" stroke-width=\"1.5\"/>",
            path.join(" ")
        );
        let (x, y) = axes.at(10_f64.powf(axes.x[1]), peak.rate);
        let label = format!("{} {} TFLOP/s", peak.name, three_digits(peak.rate));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x,
            y - 4.0,
            xml(&label)
        );
    }
    if let Some(read) = bandwidth {
        let (x, y) = axes.at(0.15, (0.15 * read.rate / 1e3).max(10_f64.powf(axes.y[0])));
        let label = format!("{} {} GB/s", read.name, three_digits(read.rate));
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", x + 10.0, y + 12.0, xml(&label));
    }
    for (idx, (line, (x, y))) in points.iter().enumerate() {
        let (x, y) = axes.at(*x, *y);
        let colour = COLOURS[COLOUR_OF.iter().position(|kernel| *kernel == line.kernel).unwrap_or(0)];
        let label = format!("{} {} {}", line.kernel, line.shape.name, line.dtype);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"><title>{}</title></circle>",
            xml(&label)
        );
        let (text_x, text_y) = (WIDTH - MARGINS[1] + 15.0, 44.0 + 15.0 * idx as f64);
        if text_y < HEIGHT - 8.0 {
            let _ = writeln!(
                svg,
                "<text x=\"{text_x:.1}\" y=\"{text_y:.1}\" font-size=\"10\" fill=\"{colour}\">{}</text>",
                xml(&label)
            );
        }
    }
}

const COLOUR_OF: [&str; 4] = ["moments", "row_dots", "all_pairs", "permuted_traces"];
/// Distinct for the colour-blind (Okabe & Ito).
const COLOURS: [&str; 4] = ["#0072B2", "#009E73", "#D55E00", "#CC79A7"];

fn grid(svg: &mut String, axes: &Axes) {
    let powers = |[low, high]: [f64; 2]| (low as i32..=high as i32).map(|power| 10_f64.powi(power));
    let (x_low, x_high) = (10_f64.powf(axes.x[0]), 10_f64.powf(axes.x[1]));
    let (y_low, y_high) = (10_f64.powf(axes.y[0]), 10_f64.powf(axes.y[1]));
    let mut rule = |from: (f64, f64), to: (f64, f64)| {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            svg,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>"
        );
    };
    powers(axes.x).for_each(|x| rule(axes.at(x, y_low), axes.at(x, y_high)));
    powers(axes.y).for_each(|y| rule(axes.at(x_low, y), axes.at(x_high, y)));
    for x in powers(axes.x) {
        let (place, bottom) = axes.at(x, y_low);
        let _ = writeln!(
            svg,
            "<text x=\"{place:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x}</text>",
            bottom + 16.0
        );
    }
    for y in powers(axes.y) {
        let (left, place) = axes.at(x_low, y);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{y}</text>",
            left - 6.0,
            place + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\">operations per byte; TFLOP/s upwards</text>",
        MARGINS[0],
        HEIGHT - 12.0
    );
}

/// Text of an element: names of devices come from drivers.
fn xml(text: &str) -> String {
    escape::name(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
