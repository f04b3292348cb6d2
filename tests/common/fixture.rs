//! Fixture folders: `request.http` as received, and `context.json` with the receive time and keys.

use std::fs;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use livehooks_core::Delivery;
use serde::Deserialize;
use serde_json::Value;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// One recorded delivery.
#[derive(Clone)]
pub struct Fixture {
    pub folder: PathBuf,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub now: Timestamp,
    pub keys: Value,
}

#[derive(Deserialize)]
struct Context {
    now: Timestamp,
    keys: Value,
}

impl Fixture {
    /// All cases in `fixtures/<provider>/<kind>`, sorted by name.
    pub fn all(provider: &str, kind: &str) -> Vec<Self> {
        let folder = root().join(provider).join(kind);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    pub fn read(folder: &Path) -> Self {
        let read =
            |name| fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{}/{name}: {e}", folder.display()));
        let context: Context = serde_json::from_slice(&read("context.json")).unwrap();
        let request = read("request.http");
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut headers);
        let body_at = head.parse(&request).unwrap().unwrap();
        Self {
            folder: folder.to_owned(),
            path: head.path.unwrap().to_owned(),
            headers: head.headers.iter().map(header).collect(),
            body: request[body_at..].to_vec(),
            now: context.now,
            keys: context.keys,
        }
    }

    pub fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub fn delivery(&self) -> Delivery<'_> {
        Delivery { headers: &self.headers, url_token: self.url_token(), body: &self.body }
    }

    /// The `{token}` part of the path, if any.
    pub fn url_token(&self) -> Option<&str> {
        self.path.split('/').nth(3)
    }
}

fn header(header: &httparse::Header<'_>) -> (HeaderName, HeaderValue) {
    (header.name.parse().unwrap(), HeaderValue::from_bytes(header.value).unwrap())
}
