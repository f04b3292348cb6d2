//! Reads a captured request from a file.

use std::fs;
use std::io::Read;
use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use livehooks_core::Delivery;

use super::undo::from_utf_16;
use crate::error::CommandError;
use crate::terminal::{YELLOW, styled};

/// A captured request.
pub(super) struct Request {
    pub(super) url_token: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn read(file: &Path) -> Result<Self, CommandError> {
        let failed = |error| CommandError::File { file: file.to_owned(), error };
        let mut bytes = Vec::new();
        match file.as_os_str() == "-" {
            true => drop(std::io::stdin().read_to_end(&mut bytes).map_err(failed)?),
            false => bytes = fs::read(file).map_err(failed)?,
        }
        if let Some(text) = utf_16(&bytes) {
            anstream::eprintln!("{}: the file is UTF-16 and was decoded", styled(YELLOW, "note"));
            bytes = text;
        }
        Self::parse(&bytes).map_err(|found| CommandError::Usage {
            option: "REQUEST.HTTP",
            expected: "an HTTP request: request line, headers, an empty line, the body".into(),
            found,
            advice: "\n  for an example see tests/fixtures/livekit/ok/room_started/request.http",
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut headers);
        let body_at = match head.parse(bytes) {
            Ok(httparse::Status::Complete(at)) => at,
            Ok(httparse::Status::Partial) => return Err("no empty line after the headers".into()),
            Err(error) => return Err(error.to_string()),
        };
        let header = |header: &httparse::Header<'_>| {
            let name = header.name.parse::<HeaderName>().ok()?;
            Some((name, HeaderValue::from_bytes(header.value).ok()?))
        };
        let path = head.path.unwrap_or_default().split('?').next().unwrap_or_default();
        let mut after = path.split('/').skip_while(|part| *part != "webhooks").skip(2);
        Ok(Self {
            url_token: after.next().filter(|token| !token.is_empty()).map(str::to_owned),
            headers: head.headers.iter().filter_map(header).collect(),
            body: bytes[body_at..].to_vec(),
        })
    }

    pub(super) fn delivery(&self) -> Delivery<'_> {
        Delivery { headers: &self.headers, url_token: self.url_token.as_deref(), body: &self.body }
    }
}

/// The text of a file that begins with UTF-16's byte order mark, as PowerShell's `>` writes it.
fn utf_16(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes {
        [0xff, 0xfe, ..] => from_utf_16(bytes, u16::from_le_bytes),
        [0xfe, 0xff, ..] => from_utf_16(bytes, u16::from_be_bytes),
        _ => None,
    }
}
