use jiff::Timestamp;
use serde_json::Value;

/// Checks that a line is an object with a level, metrics, or both, and that a delivery's outcome has its metrics.
pub fn check(line: &str) {
    let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let message = object["message"].as_str();
    match message {
        Some(_) => {
            object["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
            let is_level = object["level"].as_str().is_some_and(|level| LEVELS.contains(&level));
            assert!(is_level, "no level: {line}");
        }
        None => assert!(object["_aws"].is_object() && object.get("level").is_none(), "{line}"),
    }
    let metrics = metrics(&object, line);
    let expected = message.and_then(|message| OUTCOMES.iter().find(|(start, _)| message.starts_with(start)));
    if let Some((_, name)) = expected {
        for name in [name, "AckLatency"] {
            assert!(metrics.contains(&name), "expected the metric {name}: {line}");
        }
    }
}

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// The start of an outcome's message, and its metric.
const OUTCOMES: [(&str, &str); 7] = [
    ("accepted", "Accepted"),
    ("duplicate", "Duplicate"),
    ("question answered", "Answered"),
    ("delivery queued", "Queued"),
    ("delivery rejected: too large", "TooLarge"),
    ("delivery rejected", "Rejected"),
    ("delivery neither stored nor queued", "Failed"),
];

/// The line's metrics. Checks that it is in the embedded metric format: every dimension is a string of the line, and every
/// metric a number or an array of numbers.
fn metrics<'a>(object: &'a Value, line: &str) -> Vec<&'a str> {
    let Some(metadata) = object.get("_aws") else { return Vec::new() };
    assert!(metadata["Timestamp"].is_u64(), "{line}");
    let mut found = Vec::new();
    for directive in metadata["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "livehooks", "{line}");
        let dimensions = directive["Dimensions"].as_array().unwrap().iter();
        for name in dimensions.flat_map(|names| names.as_array().unwrap()) {
            assert!(object[name.as_str().unwrap()].is_string(), "dimension {name}: {line}");
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let value = &object[name];
            let is_list = value.as_array().is_some_and(|list| list.iter().all(Value::is_number));
            assert!(value.is_number() || is_list, "metric {name}: {line}");
            found.push(name);
        }
    }
    found
}
