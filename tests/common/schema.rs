//! Checks events against `schema/event.schema.json`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use data_encoding::BASE64;
use jsonschema::Validator;
use livehooks_event::Event;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Without the conditions: an event of an unusual body lacks objects that its type otherwise has.
static CLOSED: LazyLock<Validator> = LazyLock::new(|| {
    let mut schema = closed();
    schema["then"] = true.into();
    validator(&schema)
});

/// Validates an event that this version wrote, and reads it. The error lists every violation.
pub fn check(event: &str) -> Result<(), String> {
    Event::from_json(event).map_err(|error| format!("unreadable event: {error}"))?;
    violations(&CLOSED, &parse(event))
}

/// The error lists every violation.
pub fn violations(schema: &Validator, event: &Value) -> Result<(), String> {
    let errors: Vec<String> =
        schema.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if errors.is_empty() { Ok(()) } else { Err(format!("invalid event: {}", errors.join("; "))) }
}

pub fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// The schema for what this version writes: without the attributes, fields, values and objects that a newer version may
/// add, without empty strings and arrays, and with times that end in Z.
pub fn closed() -> Value {
    let mut schema: Value = serde_json::from_str(include_str!("../../schema/event.schema.json")).unwrap();
    for definition in schema["$defs"].as_object_mut().unwrap().values_mut() {
        close(definition);
    }
    for condition in schema["then"]["allOf"].as_array_mut().unwrap() {
        let data = &mut condition["then"]["properties"]["data"];
        data["properties"]["raw"] = true.into();
        data["properties"]["raw_base64"] = true.into();
        close(data);
    }
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties") {
        properties.as_object_mut().unwrap().values_mut().for_each(close);
        schema["additionalProperties"] = false.into();
    }
    // A known value, or any string.
    if let Some(values) = schema.get_mut("anyOf") {
        values.as_array_mut().unwrap().truncate(1);
    }
    if let Some(items) = schema.get_mut("items") {
        close(items);
        schema["minItems"] = 1.into();
    }
    // An empty body is an empty raw_base64.
    if schema["type"] == "string" && schema.get("contentEncoding").is_none() {
        schema["minLength"] = 1.into();
    }
    if schema["format"] == "date-time" {
        schema["pattern"] = "Z$".into();
    }
}

/// Checks that the event holds exactly these bytes: as `raw` if they are JSON, otherwise as `raw_base64`.
pub fn has_body(event: &str, body: &[u8]) -> Result<(), String> {
    let fields = |json| serde_json::from_str::<BTreeMap<&str, &RawValue>>(json).map_err(|e| e.to_string());
    let data = fields(fields(event)?["data"].get())?;
    let is_body = match (data.get("raw"), data.get("raw_base64")) {
        (Some(raw), None) => raw.get().as_bytes() == body.trim_ascii(),
        (None, Some(base64)) => {
            BASE64.decode(base64.get().trim_matches('"').as_bytes()).is_ok_and(|bytes| bytes == body)
        }
        _ => false,
    };
    if is_body {
        Ok(())
    } else {
        Err("expected data.raw or data.raw_base64 to hold the body's exact bytes".into())
    }
}

/// Parses an event with any nesting depth. Drops `raw` if a `Value` cannot hold it.
pub fn parse(event: &str) -> Value {
    let mut deserializer = serde_json::Deserializer::from_str(event);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer).unwrap_or_else(|_| without_raw(event))
}

/// For valid JSON that a `Value` cannot hold, such as a lone surrogate or 1e400.
fn without_raw(event: &str) -> Value {
    let mut event: BTreeMap<&str, &RawValue> = serde_json::from_str(event).unwrap();
    let mut data: BTreeMap<&str, &RawValue> = serde_json::from_str(event["data"].get()).unwrap();
    data.remove("raw").expect("only raw may hold JSON that a Value cannot");
    let data = serde_json::value::to_raw_value(&data).unwrap();
    event.insert("data", &data);
    serde_json::to_value(&event).unwrap()
}
