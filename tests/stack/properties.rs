//! Properties of every input: nothing panics, altered deliveries are rejected, bodies are kept byte for byte, and errors
//! never contain keys.

use http::HeaderMap;
use livehooks::keys_file::KeysFile;
use livehooks_core::{Assurance, Delivery};
use livehooks_signing::{Attack, PROVIDERS, ProviderInfo, Signed};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::harness::{KEYS, body};
use crate::schema;

const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_761_815_000, 0);

/// The keys that sign the body. 100ms also has a secret header, which does not cover the body.
fn signing(entry: &ProviderInfo) -> Value {
    entry.body_keys(KEYS.signing(entry).unwrap())
}

fn verify(
    entry: &ProviderInfo,
    keys: &Value,
    headers: &HeaderMap,
    token: Option<&str>,
    body: &[u8],
) -> Result<(), &'static str> {
    let delivery = Delivery { headers, url_token: token, body };
    (entry.verify)(keys, &delivery, NOW).unwrap().map(drop).map_err(|rejection| rejection.code())
}

fn headers(signed: &Signed) -> HeaderMap {
    signed.headers.iter().map(|(n, v)| (n.parse::<http::HeaderName>().unwrap(), v.parse().unwrap())).collect()
}

fn credential_headers() -> Vec<String> {
    PROVIDERS.iter().flat_map(|entry| (entry.credential_headers)(&KEYS.secret(entry))).collect()
}

fn provider() -> impl Strategy<Value = &'static ProviderInfo> {
    select((0..PROVIDERS.len()).collect::<Vec<_>>()).prop_map(|index| &PROVIDERS[index])
}

fn sample(entry: &ProviderInfo, which: Index) -> String {
    let samples = entry.samples();
    body(entry.name, which.get(&samples).name, |_| ())
}

#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    Repeat(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let (at, byte) = (any::<Index>(), prop_oneof![any::<u8>(), select(b" \n\0\"{},:".to_vec())]);
    prop_oneof![
        (at.clone(), byte.clone()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (at.clone(), byte).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        at.clone().prop_map(Edit::Remove),
        at.clone().prop_map(Edit::Truncate),
        (at.clone(), at).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

fn edited(body: &[u8], edit: &Edit) -> Vec<u8> {
    let mut bytes = body.to_vec();
    match edit {
        Edit::Replace(at, byte) => bytes[at.index(body.len())] = *byte,
        Edit::Insert(at, byte) => bytes.insert(at.index(body.len() + 1), *byte),
        Edit::Remove(at) => drop(bytes.remove(at.index(body.len()))),
        Edit::Truncate(at) => bytes.truncate(at.index(body.len())),
        Edit::Repeat(from, to) => {
            let (from, to) = (from.index(body.len()), to.index(body.len()));
            bytes.extend_from_within(from.min(to)..=from.max(to));
        }
    }
    bytes
}

/// Any JSON, often with strings and numbers like those that providers send.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".{0,12}",
        "[0-9]{1,25}",
        Just("2025-10-30T09:03:20Z".to_owned()),
        Just("0001-01-01T00:00:00Z".to_owned()),
        Just("9999-12-31T23:59:60.999999999999+23:59".to_owned()),
        "(room|recording|participant|track|hls|EGRESS)[-_.a-z]{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_A-Z]{0,10}", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

/// The number of values in this one, including itself.
fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Replaces one of the values.
fn replace_one(json: &mut Value, which: Index, new: Value) {
    let count = count(json);
    replace(json, which.index(count), new);
}

/// Replaces the value at `index`, counted in depth-first order.
fn replace(json: &mut Value, mut index: usize, new: Value) {
    if index == 0 {
        *json = new;
        return;
    }
    index -= 1;
    let values: Vec<&mut Value> = match json {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => return,
    };
    for value in values {
        let inside = count(value);
        if index < inside {
            return replace(value, index, new);
        }
        index -= inside;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn an_altered_signed_body_is_rejected(
        entry in provider(), which: Index, edits in vec(edit(), 1..12),
    ) {
        let keys = signing(entry);
        let body = sample(entry, which).into_bytes();
        let signed = (entry.sign)(&keys, &body, NOW.into()).unwrap();
        let (keys, headers, token) = (entry.public_keys(&keys), headers(&signed), signed.url_token.as_deref());
        prop_assert!(signed.covers_body);
        prop_assert_eq!(verify(entry, &keys, &headers, token, &body), Ok(()));
        for altered in edits.iter().map(|edit| edited(&body, edit)).filter(|altered| *altered != body) {
            let authentic = Delivery { headers: &headers, url_token: token, body: &body };
            let expected = (entry.rejection)(Attack::BodyAltered, &authentic, Assurance::Signed);
            prop_assert_eq!(verify(entry, &keys, &headers, token, &altered).err(), expected);
        }
    }

    #[test]
    fn an_altered_credential_is_rejected(
        entry in provider(), which: Index, edits in vec(edit(), 1..12),
    ) {
        let keys = signing(entry);
        let body = sample(entry, which).into_bytes();
        let signed = (entry.sign)(&keys, &body, NOW.into()).unwrap();
        let (keys, right) = (entry.public_keys(&keys), headers(&signed));
        let name: http::HeaderName = (entry.credential_headers)(&keys)[0].parse().unwrap();
        for edit in &edits {
            let Ok(value) = http::HeaderValue::from_bytes(&edited(right[&name].as_bytes(), edit)) else { continue };
            if (entry.is_same_credential)(right[&name].as_bytes(), value.as_bytes()) {
                continue;
            }
            let mut altered = right.clone();
            altered.insert(name.clone(), value);
            prop_assert!(verify(entry, &keys, &altered, None, &body).is_err(), "{:?}", altered[&name]);
        }
    }

    #[test]
    fn a_delivery_without_the_key_is_rejected_without_a_panic(
        entry in provider(),
        names in vec(select(credential_headers()), 0..4),
        values in vec(prop_oneof![
            vec(any::<u8>(), 0..80).boxed(),
            "(Bearer )?[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,43}".prop_map(String::into_bytes).boxed(),
            "(sha256=)?([0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{342}==)".prop_map(String::into_bytes).boxed(),
            any_json().prop_map(|claims| {
                let part = |json: &Value| data_encoding::BASE64URL_NOPAD.encode(json.to_string().as_bytes());
                format!("{}.{}.", part(&json!({ "alg": "HS256" })), part(&claims)).into_bytes()
            }).boxed(),
        ], 4),
        token in prop::option::of(".{0,20}"),
        body in vec(any::<u8>(), 0..200),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in names.into_iter().zip(&values) {
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                map.append(name.parse::<http::HeaderName>().unwrap(), value);
            }
        }
        let keys = KEYS.secret(entry);
        prop_assert!(verify(entry, &keys, &map, token.as_deref(), &body).is_err());
    }

    #[test]
    fn an_event_holds_the_exact_bytes_of_any_authentic_body(
        entry in provider(), body in prop_oneof![vec(any::<u8>(), 0..200), ".{0,80}".prop_map(String::into_bytes)],
    ) {
        check_event(entry, &body)?;
    }

    #[test]
    fn an_event_holds_the_exact_bytes_of_a_body_with_fields_of_any_type(
        entry in provider(), which: Index, changes in vec((any::<Index>(), any_json()), 1..6), is_pretty: bool,
    ) {
        let mut json: Value = serde_json::from_str(&sample(entry, which)).unwrap();
        for (place, new) in changes {
            replace_one(&mut json, place, new);
        }
        let text = if is_pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
        check_event(entry, text.unwrap().as_bytes())?;
    }

    #[test]
    fn the_error_for_an_invalid_keys_file_contains_none_of_its_values(
        entry in provider(), place: Index, new in any_json(), canary in "[a-z]{24}",
    ) {
        let canary = format!("canary-{canary}");
        let mut json = json!({ entry.name: KEYS.signing(entry).unwrap() });
        replace_one(&mut json, place, new);
        replace_one(&mut json, place, json!({ "keys": [&canary], "values": &canary, "x": { "y": &canary } }));
        if let Err(error) = KeysFile::from_json(&json) {
            prop_assert!(!error.to_string().contains(&canary), "{}", error);
        }
    }
}

fn check_event(entry: &ProviderInfo, body: &[u8]) -> Result<(), TestCaseError> {
    let event = (entry.normalize)(&signing(entry), body, NOW)
        .map_err(|error| TestCaseError::fail(error.to_string()))?
        .json;
    schema::check(&event).map_err(TestCaseError::fail)?;
    schema::has_body(&event, body).map_err(TestCaseError::fail)
}
