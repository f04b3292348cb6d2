//! Searches text for a person's ids.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

/// How often JSON may be a string in other JSON.
const NESTED_MAX: usize = 4;

/// The ids of one person, as the application or the provider assigned them.
#[derive(Clone, Debug)]
pub(super) struct Person {
    ids: Vec<String>,
    /// By the item's `room_key`.
    aliases: Arc<Aliases>,
    /// Whether a part of a longer word counts as a word.
    in_words: bool,
}

/// Other ids of a person, by the `room_key` of the events that have both.
pub(super) type Aliases = BTreeMap<String, BTreeSet<Alias>>;

/// Another id of a person. A provider may use it again for somebody else in the room's next session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alias {
    /// The session in which it is the person's, if known.
    pub(super) session: Option<String>,
    pub(super) id: String,
}

/// Where a text has an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mention {
    /// Nowhere.
    None,
    /// Only as a part of a longer word, which may be the id of somebody else: `ann` in `ann-marie` or `ann.mp4`.
    InWord,
    /// As a word of its own.
    Word,
}

impl Person {
    /// A person with these ids, none of which is empty.
    pub(super) fn new(ids: Vec<String>) -> Self {
        Self { ids, aliases: Arc::default(), in_words: false }
    }

    /// The same person, of whose ids a part of a longer word counts as a word too.
    pub(super) fn also_in_words(self) -> Self {
        Self { in_words: true, ..self }
    }

    /// The same person with these aliases.
    pub(super) fn also_known_as(self, aliases: Aliases) -> Self {
        Self { aliases: Arc::new(aliases), ..self }
    }

    /// The person with the ids of a room, or of one session of it.
    pub(super) fn within(&self, room_key: &str, session: Option<&str>) -> Cow<'_, Self> {
        let Some(aliases) = self.aliases.get(room_key) else { return Cow::Borrowed(self) };
        let is_here =
            |alias: &&Alias| alias.session.as_deref().zip(session).is_none_or(|(one, other)| one == other);
        let mut person = self.clone();
        person.ids.extend(aliases.iter().filter(is_here).map(|alias| alias.id.clone()));
        Cow::Owned(person)
    }

    /// Whether this is one of the ids.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known == id)
    }

    /// Where a text has one of the ids, as it is or escaped as in JSON or a URL.
    pub(super) fn mention(&self, text: &str) -> Mention {
        let mut found = Mention::None;
        let mut text = Cow::Borrowed(text);
        for _ in 0..=NESTED_MAX {
            found = found.max(self.plain_mention(&text));
            if text.contains('%') {
                found = found.max(self.plain_mention(&percent_decode_str(&text).decode_utf8_lossy()));
            }
            if found == Mention::Word || !text.contains('\\') {
                break;
            }
            text = Cow::Owned(unescaped(&text));
        }
        found
    }

    fn plain_mention(&self, text: &str) -> Mention {
        let mut found = Mention::None;
        for id in &self.ids {
            for (start, _) in text.match_indices(id.as_str()) {
                let (before, after) = (&text[..start], &text[start + id.len()..]);
                let is_part = is_continued(before.chars().rev()) || is_continued(after.chars());
                if self.in_words || !is_part {
                    return Mention::Word;
                }
                found = Mention::InWord;
            }
        }
        found
    }
}

/// Whether a word continues with these characters, which lead away from it.
fn is_continued(mut outward: impl Iterator<Item = char>) -> bool {
    match outward.next() {
        Some('-' | '_' | '.' | ':' | '@' | '+') => outward.next().is_some_and(char::is_alphanumeric),
        next => next.is_some_and(char::is_alphanumeric),
    }
}

/// The text without JSON's escapes, whether they are in a string or not.
fn unescaped(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        unescaped.push_str(plain);
        let mut units = Vec::new();
        rest = escape;
        // Two of them may be one character.
        let mut digits = rest.strip_prefix('u');
        while let Some(hex) = digits.and_then(|digits| digits.get(..4)) {
            let Ok(unit) = u16::from_str_radix(hex, 16) else { break };
            units.push(unit);
            rest = &rest["u0000".len()..];
            digits = rest.strip_prefix("\\u");
            if digits.is_some() {
                rest = &rest[1..];
            }
        }
        if !units.is_empty() {
            unescaped.push_str(&String::from_utf16_lossy(&units));
            continue;
        }
        let mut chars = rest.chars();
        match chars.next() {
            Some('b' | 'f' | 'n' | 'r' | 't') => unescaped.push(' '),
            Some(other) => unescaped.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    unescaped + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn mention(id: &str, text: &str) -> Mention {
        Person::new(vec![id.into()]).mention(text)
    }

    #[test]
    fn a_word_is_told_from_a_part_of_a_longer_one() {
        for text in [
            "ann",
            r#"{"id":"ann"}"#,
            "ask ann.",
            "/rec/ann/1.mp4",
            r#"{"ann":1}"#,
            "x: ann,",
            "(ann)",
            "-ann-",
        ] {
            assert_eq!(mention("ann", text), Mention::Word, "{text}");
        }
        for text in [
            "anna",
            "joann",
            "ann-marie",
            "ann.mp4",
            "ann@example.com",
            "rec_ann",
            "user:ann",
            "ann1",
            "annä",
        ] {
            assert_eq!(mention("ann", text), Mention::InWord, "{text}");
        }
        for text in ["", "an", "Ann"] {
            assert_eq!(mention("ann", text), Mention::None, "{text}");
        }
        assert_eq!(mention("42", r#"{"user_id":42,"n":142}"#), Mention::Word);
        assert_eq!(mention("42", r#"{"n":142,"time":"2026-11-24T10:42:00Z","y":1.42}"#), Mention::InWord);
        assert_eq!(mention("@ann", "hi @ann!"), Mention::Word);
        assert_eq!(Person::new(vec!["ann".into()]).also_in_words().mention("anna"), Mention::Word);
        let both = Person::new(vec!["ann".into(), "anna".into()]);
        assert_eq!(both.mention("anna"), Mention::Word, "one id is a part of the other");
    }

    #[test]
    fn an_alias_counts_in_its_session_alone() {
        let alias =
            |session: Option<&str>, id: &str| Alias { session: session.map(str::to_owned), id: id.into() };
        let aliases = BTreeSet::from([alias(Some("s1"), "peer1"), alias(None, "peer2")]);
        let person = Person::new(vec!["ann".into()]).also_known_as([("p#room".into(), aliases)].into());
        let has = |room: &str, session, id| person.within(room, session).has(id);
        assert!(has("p#room", Some("s1"), "peer1") && has("p#room", None, "peer1"));
        assert!(!has("p#room", Some("s2"), "peer1") && !has("p#other", Some("s1"), "peer1"));
        assert!(has("p#room", Some("s2"), "peer2") && has("p#other", None, "ann"));
    }

    #[test]
    fn escapes_do_not_hide_an_id() {
        for text in [
            r#"{"id":"zo\u00eb \"x\""}"#,
            r#"{"id":"\u007ao\u00EB \u0022x\""}"#,
            r#"{"metadata":"{\"id\":\"zo\\u00eb \\\"x\\\"\"}"}"#,
            "https://example.com/zo%C3%AB%20%22x%22/1.mp4",
            r#"{"url":"https:\/\/example.com\/zo\u00eb%20%22x%22\/1.mp4"}"#,
        ] {
            assert_eq!(mention("zoë \"x\"", text), Mention::Word, "{text}");
        }
        assert_eq!(mention("ann", r#"{"text":"hi\nann\tand others"}"#), Mention::Word);
        assert_eq!(mention("😀ann", r#"{"id":"\ud83d\ude00ann"}"#), Mention::Word);
        assert_eq!(mention("ann", "\\"), Mention::None);
        assert_eq!(mention("ann", r"\u00e"), Mention::None);
        assert_eq!(mention("é", r"\u00 \u00e9"), Mention::Word);
    }

    proptest! {
        #[test]
        fn an_id_in_any_json_is_found(id in "\\PC{1,12}", before in ".{0,8}", levels in 1_usize..4) {
            let mut json = json!([before, { "a": id }]).to_string();
            for _ in 1..levels {
                json = json!({ "nested": json }).to_string();
            }
            prop_assert_ne!(mention(&id, &json), Mention::None);
        }

        #[test]
        fn no_text_causes_a_panic(text in "(\\\\|u|d83d|[0-9a-f]|%|.){0,40}") {
            mention("a", &text);
        }
    }
}
