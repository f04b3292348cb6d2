//! The page's files and security headers.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;

macro_rules! files {
    ($($name:literal $kind:literal,)*) => {
        &[$(($name, $kind, include_str!(concat!("../../page/", $name)))),*]
    };
}

/// Name, media type, content.
const FILES: &[(&str, &str, &str)] = files! {
    "index.html" "text/html; charset=utf-8",
    "style.css" "text/css; charset=utf-8",
    "icon.svg" "image/svg+xml",
    "app.js" "text/javascript; charset=utf-8",
    "detail.js" "text/javascript; charset=utf-8",
    "dom.js" "text/javascript; charset=utf-8",
    "event.js" "text/javascript; charset=utf-8",
    "export.js" "text/javascript; charset=utf-8",
    "feed.js" "text/javascript; charset=utf-8",
    "json.js" "text/javascript; charset=utf-8",
    "lanes.js" "text/javascript; charset=utf-8",
    "list.js" "text/javascript; charset=utf-8",
    "room.js" "text/javascript; charset=utf-8",
    "rooms.js" "text/javascript; charset=utf-8",
    "rows.js" "text/javascript; charset=utf-8",
    "timeline.js" "text/javascript; charset=utf-8",
};

/// Only these files run, no request leaves this server, and no string becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const HARDENING: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The files at `/page/<name>`, and the page at `/`.
pub(super) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, &(name, kind, content)| {
        let path = if name == "index.html" { "/".to_owned() } else { format!("/page/{name}") };
        let head = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
        router.route(&path, get(async move || (head, content).into_response()))
    })
}

pub(super) fn harden(headers: &mut HeaderMap) {
    for (name, value) in HARDENING {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
