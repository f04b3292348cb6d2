//! Runs a function's real binary, and collects its responses and its log.

#[path = "../../../../tests/common/lambda.rs"]
mod lambda;

use std::path::Path;

use serde_json::Value;

use lambda::Function;

/// Reads a file in `events/`.
pub fn event(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// A function's responses and its log.
pub struct Run {
    pub answers: Vec<Value>,
    pub log: String,
    pub lines: Vec<Value>,
}

impl Run {
    /// Runs a binary until it has answered all invocations. `endpoint` is that of AWS.
    pub async fn of(binary: &str, endpoint: &str, variables: &[(&str, &str)], invocations: &[Value]) -> Self {
        let common = [
            ("LOG_LEVEL", "DEBUG"),
            ("AWS_ENDPOINT_URL", endpoint),
            ("TABLE_NAME", "Events"),
            ("METRICS_NAMESPACE", "livehooks/test"),
        ];
        let mut function = Function::start(Path::new(binary), &[&common, variables].concat()).await;
        function.ready().await;
        let mut answers = Vec::new();
        for invocation in invocations {
            answers.push(function.invoke(invocation.to_string()).await.0);
        }
        let log = function.stop().await;
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { answers, log, lines }
    }

    /// Whether a metric was counted once with this label.
    pub fn counted(&self, metric: &str, label: &str, value: &str) -> bool {
        let is = |line: &&Value| line.get("_aws").is_some() && line[metric] == 1 && line[label] == value;
        self.lines.iter().any(|line| is(&line))
    }

    /// Fails if the log contains a key of this secret, a credential or a word of a body.
    pub fn assert_no_secrets(&self, secret: &str, envelopes: &[Value]) {
        let keys: Value = serde_json::from_str(secret).unwrap();
        let keys = keys["keys"].as_object().unwrap().values();
        let headers = envelopes.iter().flat_map(|envelope| envelope["headers"].as_object().unwrap().values());
        let credentials = headers.filter(|value| value.as_str().unwrap().len() > 40);
        let mut secrets: Vec<&str> = keys.chain(credentials).map(|value| value.as_str().unwrap()).collect();
        secrets.extend(["local-access-secret", "isAdmin"]);
        for secret in secrets {
            assert!(!self.log.contains(secret), "the log contains {secret}");
        }
    }
}
