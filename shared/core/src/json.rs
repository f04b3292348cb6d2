//! A lenient reader over an authentic body: a field of another kind than expected is absent, not an error.
//!
//! An object is split into its fields without looking into them, so that a large `metadata` costs one pass
//! and nesting costs no stack.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

use crate::time;

/// The fields of a JSON object, unread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Object<'a> {
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The field's JSON; the last one, where it is doubled. `null` is absent.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().rev().find(|(key, _)| key.0 == name)?;
        Some(value.get()).filter(|json| *json != "null")
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.raw(name)?)
    }

    /// An identifier: a text that is not empty, or a whole number as its digits.
    pub(crate) fn id(&self, name: &str) -> Option<Cow<'a, str>> {
        let json = self.raw(name)?;
        text(json).or_else(|| json.parse::<i64>().ok().map(|_| Cow::Borrowed(json)))
    }

    /// A whole number, or a text that holds one, as protobuf writes 64-bit integers.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        let json = self.raw(name)?;
        json.trim_matches('"').parse().ok()
    }

    /// A finite number, or a text that holds one.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let json = self.raw(name)?;
        json.trim_matches('"').parse().ok().filter(|number: &f64| number.is_finite())
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        self.raw(name)?.trim_matches('"').parse().ok()
    }

    pub(crate) fn rfc3339(&self, name: &str) -> Option<Timestamp> {
        time::rfc3339(&self.text(name)?)
    }

    pub(crate) fn unix_s(&self, name: &str) -> Option<Timestamp> {
        time::unix_s(self.int(name)?)
    }

    pub(crate) fn unix_ms(&self, name: &str) -> Option<Timestamp> {
        time::unix_ms(self.int(name)?)
    }

    pub(crate) fn unix_ns(&self, name: &str) -> Option<Timestamp> {
        time::unix_ns(self.int(name)?)
    }

    /// The object in this field; an empty one where there is none.
    pub(crate) fn object(&self, name: &str) -> Self {
        self.raw(name).and_then(Self::parse).unwrap_or_default()
    }

    /// The objects of a list; what else stands in it is passed over.
    pub(crate) fn objects(&self, name: &str) -> Vec<Self> {
        let Some(json) = self.raw(name) else { return Vec::new() };
        let list: Vec<&'a RawValue> = serde_json::from_str(json).unwrap_or_default();
        list.into_iter().filter_map(|value| Self::parse(value.get())).collect()
    }

    /// Whether the object has no field at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A JSON text, borrowed where it holds no escape; `None` where it is empty or no text.
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return (!inner.is_empty()).then_some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

#[derive(Clone, Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_quotes() {
        let object = Object::parse(r#"{"a":"12","b":12,"c":1.5,"d":"x","e":null,"f":"1.5"}"#).unwrap();
        assert_eq!((object.int("a"), object.int("b"), object.int("c")), (Some(12), Some(12), None));
        assert_eq!(
            (object.number("c"), object.number("f"), object.number("d")),
            (Some(1.5), Some(1.5), None)
        );
        assert_eq!((object.int("e"), object.int("missing")), (None, None));
    }

    #[test]
    fn texts_are_unescaped_and_empty_ones_are_absent() {
        let object = Object::parse(r#"{"a":"x\u0000\ud83d\ude00","b":"","c":7,"d":"\ud800"}"#).unwrap();
        assert_eq!(object.text("a").as_deref(), Some("x\0😀"));
        assert_eq!((object.text("b"), object.text("c"), object.text("d")), (None, None, None));
        assert_eq!(object.id("c").as_deref(), Some("7"));
    }

    #[test]
    fn the_last_of_doubled_fields_counts_as_in_most_parsers() {
        assert_eq!(Object::parse(r#"{"a":1,"a":2}"#).unwrap().int("a"), Some(2));
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let json = format!(r#"{{"deep":{}{},"a":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Object::parse(&json).unwrap().int("a"), Some(1));
    }
}
