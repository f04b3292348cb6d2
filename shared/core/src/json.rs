//! A lenient reader for authentic bodies: a field of an unexpected type is absent, not an error.
//!
//! serde_json decides what is valid JSON. A second pass records the position of each value, at any depth; values are
//! read on demand. Nesting uses no stack.

use jiff::Timestamp;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::time;

/// A JSON document and the positions of all its values, in document order.
#[derive(Clone, Debug)]
pub(crate) struct Document<'a> {
    json: &'a str,
    fields: Vec<Field<'a>>,
}

/// A value: in an object, in an array (the name is empty), or the document itself.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    /// Unescaped.
    pub(crate) name: Cow<'a, str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// How many of the following fields belong to its value.
    inside: usize,
}

impl<'a> Document<'a> {
    /// `None` if `text` is not JSON.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self::of)
    }

    pub(crate) fn of(json: &'a RawValue) -> Self {
        let json = json.get();
        Self { json, fields: fields(json) }
    }

    /// The document as an object; `None` if it is something else.
    pub(crate) fn object(&self) -> Option<Object<'_, 'a>> {
        let (root, inside) = self.fields.split_first()?;
        self.json[root.start..].starts_with('{').then_some(Object { json: self.json, fields: inside })
    }
}

/// The values of valid JSON, each followed by those inside it. For any other text the positions are meaningless, but
/// within the text.
pub(crate) fn fields(json: &str) -> Vec<Field<'_>> {
    let bytes = json.as_bytes();
    let mut fields: Vec<Field<'_>> = Vec::with_capacity((json.len() / FIELD_BYTES).min(64));
    let mut open = Vec::new();
    let (mut at, mut name) = (0, Cow::default());
    while let Some(byte) = bytes.get(at) {
        let start = at;
        match byte {
            b'{' | b'[' => {
                open.push(fields.len());
                fields.push(Field { name: std::mem::take(&mut name), start, end: json.len(), inside: 0 });
                at += 1;
            }
            b'}' | b']' => {
                at += 1;
                let count = fields.len();
                if let Some((index, field)) =
                    open.pop().and_then(|index| Some((index, fields.get_mut(index)?)))
                {
                    field.end = at;
                    field.inside = count - index - 1;
                }
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'"' => {
                let has_escape;
                (at, has_escape) = string_end(bytes, start);
                if is_name(bytes, at) {
                    name = match has_escape {
                        true => unescape(&json[start..at]).unwrap_or_default(),
                        false => Cow::Borrowed(&json[start + 1..at - 1]),
                    };
                } else {
                    fields.push(Field { name: std::mem::take(&mut name), start, end: at, inside: 0 });
                }
            }
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                at += bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at);
                fields.push(Field { name: std::mem::take(&mut name), start, end: at, inside: 0 });
            }
        }
    }
    fields
}

/// The index after the closing quote of the string that starts at `start`, and whether the string holds an escape.
fn string_end(json: &[u8], start: usize) -> (usize, bool) {
    let (mut at, mut has_escape) = (start + 1, false);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return (at + 1, has_escape),
            b'\\' => {
                has_escape = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    (json.len(), has_escape)
}

/// Whether a string that ends at `end` is the name of a field.
fn is_name(json: &[u8], end: usize) -> bool {
    json[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// The fields of a JSON object, not yet read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Object<'d, 'a> {
    json: &'a str,
    fields: &'d [Field<'a>],
}

impl<'d, 'a> Object<'d, 'a> {
    /// The direct children of the object or array, each with the fields inside it.
    fn children(self) -> impl Iterator<Item = (&'d Field<'a>, &'d [Field<'a>])> {
        let mut left = self.fields;
        std::iter::from_fn(move || {
            let (field, behind) = left.split_first()?;
            let (inside, others) = behind.split_at_checked(field.inside)?;
            left = others;
            Some((field, inside))
        })
    }

    /// The last field of this name. `null` counts as absent.
    fn field(&self, name: &str) -> Option<(&'a str, Self)> {
        let (field, fields) = self.children().filter(|(field, _)| field.name == name).last()?;
        let json = self.json.get(field.start..field.end)?;
        (json != "null").then_some((json, Object { json: self.json, fields }))
    }

    /// The field's JSON.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|(json, _)| json)
    }

    /// A non-empty string.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.raw(name)?)
    }

    /// An identifier: a non-empty string, or the digits of an integer.
    pub(crate) fn id(&self, name: &str) -> Option<Cow<'a, str>> {
        let json = self.raw(name)?;
        text(json).or_else(|| json.parse::<i64>().ok().map(|_| Cow::Borrowed(json)))
    }

    /// An integer, or a string that holds one: protobuf's JSON writes 64-bit integers as strings.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        let json = self.raw(name)?;
        json.trim_matches('"').parse().ok()
    }

    /// A finite number, or a string that holds one.
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

    /// The object in this field, or an empty one.
    pub(crate) fn object(&self, name: &str) -> Self {
        let object = self.field(name).filter(|(json, _)| json.starts_with('{'));
        object.map(|(_, object)| object).unwrap_or_default()
    }

    /// The objects in an array; other elements are skipped.
    pub(crate) fn objects(&self, name: &str) -> Vec<Self> {
        let is_object = |(field, _): &(&Field<'a>, _)| self.json[field.start..].starts_with('{');
        let objects = self.array(name).filter(is_object);
        objects.map(|(_, fields)| Object { json: self.json, fields }).collect()
    }

    /// The non-empty strings in an array; other elements are skipped.
    pub(crate) fn texts(&self, name: &str) -> Vec<Cow<'a, str>> {
        self.array(name).filter_map(|(field, _)| text(self.json.get(field.start..field.end)?)).collect()
    }

    fn array(&self, name: &str) -> impl Iterator<Item = (&'d Field<'a>, &'d [Field<'a>])> {
        let array = self.field(name).filter(|(json, _)| json.starts_with('['));
        array.map(|(_, array)| array).unwrap_or_default().children()
    }

    /// The document, cut where the values of these fields of this object are; `None` if it has none of them.
    pub(crate) fn without(&self, names: &[&str]) -> Option<Vec<&'a str>> {
        let cut = || self.children().map(|(field, _)| field).filter(|field| names.contains(&&*field.name));
        cut().next()?;
        let starts = std::iter::once(0).chain(cut().map(|field| field.end));
        let ends = cut().map(|field| field.start).chain([self.json.len()]);
        Some(starts.zip(ends).filter_map(|(start, end)| self.json.get(start..end)).collect())
    }

    /// Whether the object has no fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// A non-empty string.
fn text(json: &str) -> Option<Cow<'_, str>> {
    unescape(json).filter(|text| !text.is_empty())
}

/// The value of a JSON string, borrowed if it holds no escape; `None` if it is not a string or has a lone surrogate.
fn unescape(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

/// The smallest size of a field in most bodies, so that the vector of fields rarely grows.
const FIELD_BYTES: usize = 8;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read<T>(json: &str, read: impl FnOnce(Object<'_, '_>) -> T) -> T {
        read(Document::parse(json).unwrap().object().unwrap())
    }

    #[test]
    fn numbers_are_read_with_and_without_quotes() {
        read(r#"{"a":"12","b":12,"c":1.5,"d":"x","e":null,"f":"1.5"}"#, |object| {
            assert_eq!((object.int("a"), object.int("b"), object.int("c")), (Some(12), Some(12), None));
            let numbers = (object.number("c"), object.number("f"), object.number("d"));
            assert_eq!(numbers, (Some(1.5), Some(1.5), None));
            assert_eq!((object.int("e"), object.int("missing")), (None, None));
        });
    }

    #[test]
    fn strings_are_unescaped_and_empty_ones_are_absent() {
        read(r#"{"a":"x\u0000\ud83d\ude00","b":"","c":7,"d":"\ud800"}"#, |object| {
            assert_eq!(object.text("a").as_deref(), Some("x\0😀"));
            assert_eq!((object.text("b"), object.text("c"), object.text("d")), (None, None, None));
            assert_eq!(object.id("c").as_deref(), Some("7"));
        });
    }

    #[test]
    fn the_last_of_repeated_fields_counts_as_in_most_parsers() {
        assert_eq!(read(r#"{"a":1,"a":{"a":3},"a":2,"b":{"a":4}}"#, |object| object.int("a")), Some(2));
    }

    #[test]
    fn escaped_names_are_unescaped() {
        let json = r#"{"\u0065vent":"a","b\u005c":1,"\"":2,"x":{"\u0079":3}}"#;
        read(json, |object| {
            assert_eq!(object.text("event").as_deref(), Some("a"));
            assert_eq!((object.int("b\\"), object.int("\"")), (Some(1), Some(2)));
            assert_eq!(object.object("x").int("y"), Some(3));
        });
        assert_eq!(read(r#"{"a":1,"\u0061":2}"#, |object| object.int("a")), Some(2));
    }

    #[test]
    fn values_of_another_type_read_as_empty() {
        read(r#"{"a":[{"b":1}],"c":{"d":{"b":2}},"e":"{"}"#, |object| {
            assert!(object.object("a").is_empty() && object.object("e").is_empty());
            assert!(object.objects("c").is_empty() && object.objects("e").is_empty());
            assert_eq!(object.objects("a")[0].int("b"), Some(1));
            assert!(object.texts("a").is_empty() && object.texts("e").is_empty());
        });
        assert!(Document::parse("[{}]").unwrap().object().is_none());
    }

    #[test]
    fn a_document_is_cut_at_the_named_fields_of_its_root_only() {
        read(r#"{"a":[1],"b":{"a":2},"\u0061":3}"#, |object| {
            assert_eq!(object.without(&["a"]), Some(vec![r#"{"a":"#, r#","b":{"a":2},"\u0061":"#, "}"]));
            assert_eq!(object.without(&["x"]), None);
        });
        read(r#"{"a":["x",1,"","y"]}"#, |object| assert_eq!(object.texts("a"), ["x", "y"]));
    }

    #[test]
    fn deep_nesting_uses_no_stack() {
        let json = format!(r#"{{"deep":{}{},"a":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&json, |object| object.int("a")), Some(1));
    }

    /// Any JSON, with names and strings that are hard to scan.
    pub(crate) fn tree() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec!["a", "streamKey", "turnPassword", "x\"y", "\\", ""]);
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(Value::from),
            any::<i16>().prop_map(|number| json!(f64::from(number) / 4.0)),
            any::<bool>().prop_map(Value::from),
            "[\"\\\\a{},: é]*".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..4)
                    .prop_map(|m| json!(m)),
            ]
        })
    }

    fn rebuilt(json: &str, field: &Field<'_>, fields: &[Field<'_>]) -> Value {
        let children = Object { json, fields };
        let values =
            children.children().map(|(field, inside)| (field.name.to_string(), rebuilt(json, field, inside)));
        match json.as_bytes()[field.start] {
            b'{' => Value::Object(values.collect()),
            b'[' => values.map(|(_, value)| value).collect(),
            _ => serde_json::from_str(&json[field.start..field.end]).unwrap(),
        }
    }

    /// The same JSON with every letter of its names and strings escaped.
    pub(crate) fn escaped(json: &str) -> String {
        let mut in_string = false;
        let mut characters = json.chars();
        let mut escaped = String::new();
        while let Some(character) = characters.next() {
            match character {
                '"' => {
                    in_string = !in_string;
                    escaped.push('"');
                }
                '\\' => {
                    escaped.push('\\');
                    escaped.extend(characters.next());
                }
                'a'..='z' | 'A'..='Z' if in_string => escaped += &format!("\\u{:04x}", u32::from(character)),
                other => escaped.push(other),
            }
        }
        escaped
    }

    proptest! {
        #[test]
        fn every_value_is_found_at_its_position(tree in tree(), pretty: bool) {
            let json = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            let document = Document::parse(&json).unwrap();
            let (root, inside) = document.fields.split_first().unwrap();
            prop_assert_eq!(rebuilt(&json, root, inside), tree);
            prop_assert_eq!(&json[root.start..root.end], &json);
        }

        #[test]
        fn every_value_is_found_under_its_escaped_name(tree in tree()) {
            let json = escaped(&serde_json::to_string(&tree).unwrap());
            let document = Document::parse(&json).unwrap();
            let (root, inside) = document.fields.split_first().unwrap();
            prop_assert_eq!(rebuilt(&json, root, inside), tree);
        }

        #[test]
        fn positions_stay_within_any_text(text in "[{}\\[\\]\",:\\\\ aé]{0,24}") {
            for field in fields(&text) {
                prop_assert!(text.get(field.start..field.end).is_some(), "{field:?}");
            }
        }
    }
}
