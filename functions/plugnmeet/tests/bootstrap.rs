//! The function as Lambda runs it: the real binary, the runtime API, and what it writes to its log.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[path = "../../../tests/common/lambda.rs"]
mod lambda;

use std::path::Path;

use lambda::Function;
use livehooks::dev::Database;
use serde_json::{Value, json};
use tokio::net::TcpListener;

fn event(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_answers_counts_and_logs_and_keeps_every_secret_to_itself() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));

    let secret = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned();
    let variables = [
        ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("TABLE_NAME", "Events"),
        ("METRICS_NAMESPACE", "livehooks/test"),
        ("PROVIDER_SECRET", &secret),
    ];
    let mut function = Function::start(Path::new(env!("CARGO_BIN_EXE_plugnmeet")), &variables).await;
    function.ready().await;
    let names = ["participant", "duplicate", "tampered", "expired"];
    let invocations = names.map(|name| event(&format!("plugnmeet/{name}.json")));
    let mut statuses = Vec::new();
    for invocation in &invocations {
        let (answer, _) = function.invoke(invocation.to_string()).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        statuses.push(json!([answer["statusCode"], body["status"]]));
    }
    assert_eq!(json!(statuses), json!([[200, "accepted"], [200, "duplicate"], [401, 401], [401, 401]]));

    let log = function.stop().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counted = |metric: &str, label: &str, value: &str| {
        lines.iter().any(|line| line.get("_aws").is_some() && line[metric] == 1 && line[label] == value)
    };
    assert!(log.contains(r#""Namespace":"livehooks/test""#), "{log}");
    assert!(counted("Accepted", "provider", "plugnmeet"), "{log}");
    assert!(counted("Duplicate", "provider", "plugnmeet"), "{log}");
    assert!(counted("Rejected", "reason", "body_altered"), "{log}");
    assert!(counted("Rejected", "reason", "expired"), "{log}");
    assert!(lines.iter().any(|line| line["AckLatency"].is_array()), "{log}");
    assert!(lines.iter().any(|line| line["reason"] == "expired" && line["level"] == "WARN"), "{log}");

    let keys: Value = serde_json::from_str(&secret).unwrap();
    let mut secrets: Vec<String> = keys["keys"]
        .as_object()
        .unwrap()
        .values()
        .map(|secret| secret.as_str().unwrap().to_owned())
        .collect();
    for invocation in &invocations {
        let headers = invocation["headers"].as_object().unwrap();
        secrets.extend(
            headers.values().map(|value| value.as_str().unwrap().to_owned()).filter(|value| value.len() > 40),
        );
    }
    secrets.extend(["local-access-secret".into(), "isAdmin".into()]);
    for secret in secrets {
        assert!(!log.contains(&secret), "the log holds {secret}");
    }
}
