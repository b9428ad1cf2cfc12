//! Numbers for people: three significant digits and a unit, a decimal point, no thousands separator to mistake for one.

/// `2.20 GB`: decimal units, as disks and download pages count.
#[must_use]
pub fn bytes(size_bytes: u64) -> String {
    if size_bytes < 1000 {
        format!("{size_bytes} B")
    } else {
        scaled(size_bytes, &["kB", "MB", "GB", "TB", "PB", "EB"])
    }
}

/// `1.10 B` for 1.1·10⁹: thousands, millions, billions and trillions, as model cards count.
#[must_use]
pub fn count(n: u64) -> String {
    if n < 1000 { n.to_string() } else { scaled(n, &["k", "M", "B", "T", "Q", "Qi"]) }
}

/// `98.2 %`; 100 and 0 are printed only where they hold exactly, so that a rest is never rounded away.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        _ if !value.is_finite() => "-".to_owned(),
        _ if value == 0.0 => "0 %".to_owned(),
        _ if value == 100.0 => "100 %".to_owned(),
        _ if value > 99.9 && value < 100.0 => "99.9 %".to_owned(),
        _ if value < 0.1 && value > 0.0 => "<0.1 %".to_owned(),
        _ => format!("{value:.1} %"),
    }
}

/// `0.0412 s`, `3.07 s`, `312 s`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    format!("{} s", three_digits(seconds))
}

/// Three significant digits without an exponent, where the number is neither tiny nor huge.
#[must_use]
pub fn three_digits(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        0.0 => "0".to_owned(),
        size if !(1e-4..1e6).contains(&size) => format!("{value:.2e}"),
        size if size < 0.0995 => format!("{value:.4}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn scaled(n: u64, units: &[&str]) -> String {
    let mut value = n;
    let mut rest = 0;
    let mut unit = "";
    for name in units {
        if value < 1000 {
            break;
        }
        rest = value % 1000;
        value /= 1000;
        unit = name;
    }
    match value {
        0..10 => format!("{value}.{:02} {unit}", rest / 10),
        10..100 => format!("{value}.{} {unit}", rest / 100),
        _ => format!("{value} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_cut_to_three_digits() {
        for (n, wanted) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (2_204_999_999, "2.20 GB"),
            (15_950_000, "15.9 MB"),
            (999_999, "999 kB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(n), wanted);
        }
        assert_eq!(count(6_740_000_000), "6.74 B");
        assert_eq!(count(12), "12");
    }

    #[test]
    fn only_exact_shares_read_as_all_or_nothing() {
        for (share, wanted) in [
            (0.0, "0 %"),
            (-0.0, "0 %"),
            (1.0, "100 %"),
            (0.99999, "99.9 %"),
            (1e-6, "<0.1 %"),
            (0.1234, "12.3 %"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(percent(share), wanted);
        }
    }
}
