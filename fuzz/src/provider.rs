//! The keys of one provider: those in `events/keys.json`, which sign, and those of the fixtures, so that the fixtures are
//! authentic.

use std::fs;
use std::path::Path;

use http::HeaderMap;
use livehooks_core::Keys;
use livehooks_signing::{ProviderInfo, Signed, Signer, merge_keys};
use serde_json::Value;

use crate::NOW;

pub struct KeySet<P: Signer> {
    /// The verification keys as JSON.
    pub secret: Value,
    /// The verification keys.
    pub verifying: P::Keys,
    signing: Value,
}

impl<P: Signer> KeySet<P> {
    pub fn read() -> Self {
        let provider = ProviderInfo::named(P::NAME).expect("it is listed");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let signing = json(&root.join("events/keys.json"))[P::NAME].clone();
        let mut secret = provider.public_keys(&signing);
        let mut cases: Vec<_> = fs::read_dir(root.join("tests/fixtures").join(P::NAME).join("ok"))
            .expect("there are fixtures")
            .collect();
        cases.sort_by_key(|case| case.as_ref().map(fs::DirEntry::path).ok());
        for case in cases {
            let mut context = json(&case.expect("a folder").path().join("context.json"));
            let keys = context["keys"].as_object_mut().expect("keys are an object");
            // A fixture may have fields that would make verification stricter for the others.
            keys.retain(|field, _| secret.get(field).is_some());
            merge_keys(&mut secret, &context["keys"]);
        }
        let verifying = P::Keys::from_json(&secret).expect("the fixtures' keys are keys");
        Self { secret, verifying, signing }
    }

    /// Headers that make only this body authentic.
    pub fn sign(&self, body: &[u8]) -> HeaderMap {
        let provider = ProviderInfo::named(P::NAME).expect("it is listed");
        let signed =
            P::sign(&provider.body_keys(&self.signing), body, NOW.into()).expect("the keys can sign");
        signed.header_map().expect("headers")
    }

    /// Headers that make any body authentic, if the provider has such a scheme.
    pub fn static_headers(&self) -> Option<HeaderMap> {
        let signed: Signed = P::sign(&self.signing, b"", NOW.into()).expect("the keys can sign");
        (!signed.covers_body).then(|| signed.header_map().expect("headers"))
    }
}

fn json(file: &Path) -> Value {
    let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
