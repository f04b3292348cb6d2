use livehooks_core::{Keys, Provider, for_each_provider};
use serde_json::Value;

/// The input is a provider's secret, or a keys file.
pub fn keys(input: &[u8]) {
    let Ok(secret) = serde_json::from_slice::<Value>(input) else { return };
    let parts = secret.as_object().into_iter().flat_map(|file| file.values());
    for secret in parts.chain([&secret]) {
        for_each_provider!(P => check::<P>(secret));
    }
}

/// An error message names the fields of a secret, never a value.
fn check<P: Provider>(secret: &Value) {
    let message = match P::Keys::from_json(secret) {
        Ok(keys) => keys.weakness().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    let (mut names, mut values) = (Vec::new(), Vec::new());
    strings(secret, &mut names, &mut values);
    for value in values.into_iter().filter(|value| value.trim().len() >= 24) {
        let is_name = names.iter().any(|name| name.contains(value));
        assert!(is_name || !message.contains(value), "the message repeats a value: {message}");
    }
}

fn strings<'a>(json: &'a Value, names: &mut Vec<&'a str>, values: &mut Vec<&'a str>) {
    match json {
        Value::String(string) => values.push(string),
        Value::Array(array) => array.iter().for_each(|value| strings(value, names, values)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            names.push(name);
            strings(value, names, values);
        }),
        _ => {}
    }
}
