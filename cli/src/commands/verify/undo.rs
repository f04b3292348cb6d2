//! Undoes what proxies, frameworks, editors and copying do to a body.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};

/// A change of a body, undone.
pub(super) struct Undone {
    /// What was changed.
    pub(super) what: String,
    /// How it was undone: "decoded".
    pub(super) how: String,
    pub(super) advice: String,
    pub(super) body: Vec<u8>,
}

const EXACT: &str = "pass on the exact bytes received";
const COPY: &str = "capture the exact bytes: the copy was saved in another encoding than UTF-8";

/// Undoes each small change of whitespace and line ends.
pub(super) fn without_edits(body: &[u8]) -> Vec<Undone> {
    let replaced = |from: &str, to: &str| {
        std::str::from_utf8(body).map(|text| text.replace(from, to).into_bytes()).unwrap_or_default()
    };
    [
        (
            "whitespace was added at the end",
            "without it",
            "capture the exact bytes: editors and `echo` add a line break (use `curl --data-binary`, `printf %s`)",
            body.trim_ascii_end().to_vec(),
        ),
        ("there is whitespace around the body", "without it", EXACT, body.trim_ascii().to_vec()),
        ("the final line break is missing", "with it", EXACT, [body, b"\n"].concat()),
        ("the final line break (CR LF) is missing", "with it", EXACT, [body, b"\r\n"].concat()),
        ("line breaks were changed to CR LF", "with LF", EXACT, replaced("\r\n", "\n")),
        ("line breaks were changed from CR LF to LF", "with CR LF", EXACT, replaced("\n", "\r\n")),
    ]
    .into_iter()
    .map(|(what, how, advice, body)| undone(what, how, advice, body))
    .collect()
}

/// What is inside the body, if it is wrapped or encoded in a known way.
pub(super) fn unwrapped(body: &[u8]) -> Vec<Undone> {
    let decode = "decode it first, as API Gateway's isBase64Encoded says, or capture the decoded body";
    let orders: [fn([u8; 2]) -> u16; 2] = [u16::from_le_bytes, u16::from_be_bytes];
    let found = [
        ("the body is still base64", "decoded", decode, base64(body, false)),
        (
            "the body is base64url",
            "decoded",
            "decode it first, or capture the decoded body",
            base64(body, true),
        ),
        (
            "a byte order mark was added",
            "without it",
            EXACT,
            body.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec),
        ),
        ("the body is a Latin-1 copy", "in UTF-8", COPY, latin_1(body)),
        ("the body was read as Latin-1 and written as UTF-8", "in UTF-8 once", COPY, twice_utf_8(body)),
        (
            "the framing of chunked transfer encoding was left in",
            "without it",
            "capture the body after the HTTP server or client has decoded it",
            dechunked(body),
        ),
        (
            "the body is a JSON string that contains the signed JSON",
            "decoded",
            "pass on the exact bytes received: the body was serialized twice",
            serde_json::from_slice::<String>(body).ok().map(String::into_bytes),
        ),
    ];
    let found =
        found.into_iter().filter_map(|(what, how, advice, body)| Some(undone(what, how, advice, body?)));
    let copies = orders.into_iter().filter_map(|unit| {
        Some(undone("the body is a UTF-16 copy", "in UTF-8", COPY, from_utf_16(body, unit)?))
    });
    found.chain(copies).chain(form_fields(body)).collect()
}

fn undone(what: &str, how: &str, advice: &str, body: Vec<u8>) -> Undone {
    Undone { what: what.into(), how: how.into(), advice: advice.into(), body }
}

/// Decodes base64 with or without padding and line breaks.
fn base64(body: &[u8], is_url: bool) -> Option<Vec<u8>> {
    let text: Vec<u8> =
        body.iter().copied().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').collect();
    let encoding = if is_url { BASE64URL_NOPAD } else { BASE64_NOPAD };
    encoding.decode(&text).ok().filter(|decoded| !decoded.is_empty())
}

/// Every byte string is Latin-1, so only one that is not UTF-8 is taken for it.
fn latin_1(body: &[u8]) -> Option<Vec<u8>> {
    let is_utf_8 = std::str::from_utf8(body).is_ok();
    (!is_utf_8).then(|| body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
}

fn twice_utf_8(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_ascii())?;
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

/// Decodes UTF-16 with or without a byte order mark.
pub(super) fn from_utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Vec<u8>> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    let text =
        char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect::<Result<String, _>>().ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(&text).as_bytes().to_vec())
}

/// Joins the chunks: each is preceded by its size in hexadecimal digits, and the last one is empty.
fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 1..];
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = &rest[size..];
        rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"))?;
    }
}

/// The values of a form's fields, and the names of those without a value: a form parser takes JSON for a name.
fn form_fields(body: &[u8]) -> Vec<Undone> {
    // JSON may contain `=` and `&`, but a form does not begin like it.
    if body.trim_ascii_start().starts_with(b"{") || !body.contains(&b'=') {
        return Vec::new();
    }
    let advice = "pass on the exact bytes received: the sender does not send forms";
    let fields = form_urlencoded::parse(body).into_owned();
    let field = |(name, value): (String, String)| match value.is_empty() {
        true => {
            let what = "the body is a form with the signed JSON as the name of a field";
            undone(what, "decoded", advice, name.into_bytes())
        }
        false => {
            let name: String = name.chars().take(40).collect();
            let what = format!("the body is a form with the signed JSON in field {name:?}");
            undone(&what, "decoded", advice, value.into_bytes())
        }
    };
    fields.map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_can_be_undone() {
        for body in [
            &b""[..],
            b"\n",
            b"0\n",
            b"ffffffffffffffff\nx",
            b"5\r\nabc",
            b"=",
            b"%",
            b"\xff\xfe",
            b"\xd8\x00",
        ] {
            unwrapped(body);
            without_edits(body);
        }
    }

    #[test]
    fn chunks_are_joined_with_extensions_and_trailers() {
        let chunked = b"3;a=b\r\nabc\r\nA\n0123456789\n0\r\nx: y\r\n\r\n";
        assert_eq!(dechunked(chunked).as_deref(), Some(&b"abc0123456789"[..]));
        assert_eq!(dechunked(b"3\r\nabc\r\n"), None, "the last chunk is missing");
    }
}
