use http::{HeaderMap, HeaderName, HeaderValue};

/// An input as an HTTP/1.1 request, like the fixtures. Any other input is a body without headers.
pub struct Request<'a> {
    pub path: &'a str,
    pub headers: HeaderMap,
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    pub fn parse(input: &'a [u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut headers);
        let body_at = match head.parse(input) {
            Ok(httparse::Status::Complete(body_at)) => body_at,
            _ => return Self { path: "", headers: HeaderMap::new(), body: input },
        };
        let header = |header: &httparse::Header<'_>| {
            let name: HeaderName = header.name.parse().ok()?;
            Some((name, HeaderValue::from_bytes(header.value).ok()?))
        };
        let mut map = HeaderMap::new();
        for (name, value) in head.headers.iter().filter_map(header) {
            map.append(name, value);
        }
        Self { path: head.path.unwrap_or_default(), headers: map, body: &input[body_at..] }
    }

    /// The `{token}` of the path, if there is one.
    pub fn url_token(&self) -> Option<&'a str> {
        self.path.split('/').nth(3)
    }
}
