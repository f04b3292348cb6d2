//! Sends signed deliveries to a stack's webhooks.

use jiff::Timestamp;
use livehooks_signing::ProviderInfo;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::error::CommandError;
use crate::forward::describe;
use crate::local::lock_file::RunningStack;

/// The webhooks of a stack.
pub(super) struct Webhooks {
    client: Client,
    base: String,
}

/// What a stack answered to a delivery.
pub(super) struct Answer {
    pub(super) code: StatusCode,
    pub(super) text: String,
    /// The body as JSON, or `null`.
    pub(super) json: Value,
}

impl Answer {
    /// `accepted`, `duplicate` or `queued`; `None` for a rejection and for the answer to a question.
    pub(super) fn status(&self) -> Option<&str> {
        self.json["status"].as_str()
    }

    /// Why it was rejected.
    pub(super) fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or(&self.text)
    }
}

impl Webhooks {
    /// The webhooks at a base URL, or of the local stack of this folder.
    pub(super) async fn at(url: Option<&str>) -> Result<Self, CommandError> {
        let base = match url {
            Some(url) => url.to_owned(),
            None => RunningStack::find().await.map_err(CommandError::NowhereToSend)?.url,
        };
        let client = Client::builder().redirect(Policy::none()).build();
        let client =
            client.map_err(|error| CommandError::Unreachable { url: base.clone(), why: describe(error) })?;
        Ok(Self { client, base })
    }

    /// Signs a body as of now, and sends it.
    pub(super) async fn post(
        &self,
        provider: &ProviderInfo,
        keys: &Value,
        body: &str,
    ) -> Result<Answer, CommandError> {
        let signed = (provider.sign)(keys, body.as_bytes(), Timestamp::now().into())
            .map_err(|why| CommandError::Sign { provider: provider.name, why })?;
        let mut url = format!("{}/webhooks/{}", self.base.trim_end_matches('/'), provider.name);
        if let Some(token) = &signed.url_token {
            url = format!("{url}/{token}");
        }
        let unreachable = |error: reqwest::Error| CommandError::Unreachable {
            url: self.base.clone(),
            why: describe(error),
        };
        let request = self.client.post(&url);
        let request =
            signed.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.body(body.to_owned()).send().await.map_err(unreachable)?;
        let code = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { code, text, json })
    }
}
