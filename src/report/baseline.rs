//! Two runs of `cognate bench` side by side, both as documents: what got slower?

use serde_json::Value;

/// A line that both runs hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Device, kernel, shape, type and rows; or model and effort; or way of reading.
    pub line: String,
    /// Rate then.
    pub before: f64,
    /// Rate now.
    pub now: f64,
}

impl Change {
    /// Rate now over rate then.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.now / self.before
    }
}

/// What came of a run held against an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Share of the rate then that may be lost.
    pub tolerance: f64,
    /// Lines that both hold, in the order of this run.
    pub changes: Vec<Change>,
    /// Lines that only the earlier run holds.
    pub missing: Vec<String>,
}

impl Baseline {
    /// Lines that lost more than the tolerance.
    pub fn slower(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.ratio() < 1.0 - self.tolerance)
    }
}

/// Holds the document of this run against that of an earlier one.
///
/// # Errors
/// The earlier one is no document of `cognate bench`, or holds no line of this run.
pub fn compare(before: &Value, now: &Value, tolerance: f64) -> Result<Baseline, String> {
    if before["schema_version"] != now["schema_version"] {
        return Err("it is not a document of `cognate bench --format json` of this version".to_owned());
    }
    let (before, now) = (rates(before), rates(now));
    let rate_of = |rates: &[(String, f64)], line: &str| {
        rates.iter().find(|(other, _)| other == line).map(|(_, rate)| *rate)
    };
    let changes: Vec<Change> = now
        .iter()
        .filter_map(|(line, now)| {
            Some(Change { line: line.clone(), before: rate_of(&before, line)?, now: *now })
        })
        .collect();
    if changes.is_empty() {
        return Err("it holds no line of this run".to_owned());
    }
    let missing =
        before.iter().map(|(line, _)| line).filter(|line| rate_of(&now, line).is_none()).cloned().collect();
    Ok(Baseline { tolerance, changes, missing })
}

/// Every measured line of a document with its rate.
fn rates(document: &Value) -> Vec<(String, f64)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let joined = |value: &Value, keys: &[&str]| -> String {
        keys.iter().map(|key| word(&value[*key])).collect::<Vec<_>>().join(" ")
    };
    let mut found = Vec::new();
    for device in list(&document["devices"]) {
        let name = word(&device["name"]);
        for line in list(&device["lines"]) {
            let key = joined(&line, &["kernel", "shape", "dtype", "rows_used"]);
            found.push((format!("{name} {key}"), line["rate"].as_f64()));
        }
    }
    for model in list(&document["models"]) {
        let rate = model["seconds"].as_f64().map(f64::recip);
        found.push((joined(&model, &["model", "effort", "source_bytes_per_s"]), rate));
    }
    for line in list(&document["io"]) {
        found.push((joined(&line, &["what", "cache", "threads"]), line["rate"].as_f64()));
    }
    let is_rate = |rate: &f64| rate.is_finite() && *rate > 0.0;
    found.into_iter().filter_map(|(line, rate)| Some((line, rate.filter(is_rate)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(rates: &[(&str, f64)]) -> Value {
        let lines: Vec<Value> = rates
            .iter()
            .map(|(kernel, rate)| json!({"kernel": kernel, "shape": "s", "dtype": "BF16", "rows_used": 4, "rate": rate}))
            .collect();
        json!({"schema_version": "cognate.bench/1", "devices": [{"name": "cpu", "lines": lines}], "models": [], "io": []})
    }

    #[test]
    fn only_losses_past_the_tolerance_count() {
        let before = run(&[("a", 10.0), ("b", 10.0), ("c", 10.0), ("gone", 1.0)]);
        let now = run(&[("a", 8.9), ("b", 9.1), ("c", 20.0), ("new", 1.0)]);
        let found = compare(&before, &now, 0.1).expect("two runs");
        let slower: Vec<&str> = found.slower().map(|change| change.line.as_str()).collect();
        assert_eq!(slower, ["cpu a s BF16 4"]);
        assert_eq!((found.changes.len(), found.missing), (3, vec!["cpu gone s BF16 4".to_owned()]));
    }

    #[test]
    fn what_is_no_earlier_run_is_refused() {
        let now = run(&[("a", 1.0)]);
        for before in
            [json!({}), json!([1]), json!({"schema_version": "cognate.bench/1"}), run(&[("z", 1.0)])]
        {
            assert!(compare(&before, &now, 0.1).is_err(), "{before}");
        }
    }
}
