//! What the schema says about the objects of each type, and that it is open for what a newer version may add.

use std::sync::LazyLock;

use jsonschema::Validator;
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::schema;

static CLOSED: LazyLock<Validator> = LazyLock::new(|| schema::validator(&schema::closed()));
static OPEN: LazyLock<Validator> = LazyLock::new(|| schema::validator(&SCHEMA));
static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../schema/event.schema.json")).unwrap());

/// The event of a documented body has the objects of its type and no others, and is invalid if one of them is missing.
pub fn check(event: &str) -> Result<(), Failed> {
    let event = schema::parse(event);
    schema::violations(&CLOSED, &event)?;
    schema::violations(&OPEN, &event)?;
    let conditions = SCHEMA["then"]["allOf"].as_array().unwrap().iter();
    let mut of_type = conditions.filter(|condition| {
        let types = condition["if"]["properties"]["type"]["enum"].as_array().unwrap();
        types.contains(&event["type"])
    });
    let Some(condition) = of_type.next() else {
        return if event["type"] == "live.unknown" { Ok(()) } else { Err("expected a condition".into()) };
    };
    for object in condition["then"]["properties"]["data"]["required"].as_array().unwrap() {
        let mut without = event.clone();
        without["data"].as_object_mut().unwrap().remove(object.as_str().unwrap());
        if OPEN.is_valid(&without) {
            return Err(format!("valid without {object}").into());
        }
        without["dataref"] = "dynamodb://Events/p%231/0".into();
        schema::violations(&OPEN, &without)?;
    }
    Ok(())
}

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("schema::what_is_unknown_is_valid", || {
            for change in changes() {
                schema::violations(&OPEN, &changed(&change))?;
            }
            Ok(())
        }),
        Trial::test("schema::what_is_unknown_is_not_written", || {
            let other = json!({ "data": { "recording": { "scope": "room" } } });
            for change in changes().iter().chain([&other]) {
                if CLOSED.is_valid(&changed(change)) {
                    return Err(change.to_string().into());
                }
            }
            Ok(schema::violations(&CLOSED, &changed(&json!({})))?)
        }),
    ]
}

fn changes() -> [Value; 6] {
    [
        json!({ "type": "live.participant.waved" }),
        json!({ "provider": "newcomer", "source": "/livehooks/newcomer" }),
        json!({ "assurance": "notarized" }),
        json!({ "attribute": "new" }),
        json!({ "data": { "object": {} } }),
        json!({ "data": { "participant": { "field": 1 } } }),
    ]
}

/// An event with these values instead.
fn changed(change: &Value) -> Value {
    let mut event = json!({
        "specversion": "1.0", "id": "1", "source": "/livehooks/livekit", "type": "live.participant.joined",
        "time": "2025-10-30T09:03:20Z", "recordedtime": "2025-10-30T09:03:20Z", "timebasis": "provider",
        "provider": "livekit", "assurance": "signed", "dedupebasis": "provider-id",
        "datacontenttype": "application/json",
        "data": { "room": { "id": "r" }, "session": { "id": "s" }, "participant": { "id": "p" }, "raw": {} },
    });
    merge(&mut event, change);
    event
}

fn merge(value: &mut Value, change: &Value) {
    match (value, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(fields.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change.clone(),
    }
}
