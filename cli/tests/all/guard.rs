//! What foreign web pages, DNS rebinding and tunnels can reach of the local servers.
#![cfg(unix)]

use crate::harness::{Dev, EXAMPLE, ask, is_forbidden, send};

const SCAN: &str = "POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\n\
     X-Amz-Target: DynamoDB_20120810.Scan\r\nX-Amz-Date: 20260101T000000Z\r\n\
     Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=b";
const SCAN_BODY: &str = r#"{"TableName":"Events"}"#;
/// What a form on any page can send without a preflight request.
const FORM: &str = "POST / HTTP/1.1\r\nContent-Type: text/plain";
const FORM_BODY: &str = "Action=PublishBatch&PublishBatchRequestEntries.member.1.Id=0\
     &PublishBatchRequestEntries.member.1.Message=%7B%22forged%22%3Atrue%7D";

/// Requests that read or change something, each with the server's address and a body.
fn requests(dev: &Dev) -> Vec<(String, String, &'static str)> {
    let page = dev.url.strip_prefix("http://").unwrap();
    let mut requests: Vec<_> =
        ["/", "/page/app.js", "/api/events", "/api/rejections", "/api/live", "/nowhere"]
            .map(|path| (page.to_owned(), format!("GET {path} HTTP/1.1"), ""))
            .into();
    requests.push((dev.dynamodb.clone(), SCAN.into(), SCAN_BODY));
    requests.push((dev.sns.clone(), FORM.into(), FORM_BODY));
    requests
}

fn published(dev: &Dev) -> String {
    dev.get("/api/announcements?replay=all&follow=false")
}

#[test]
fn a_foreign_web_page_gets_403_on_every_port() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    for (address, head, body) in requests(&dev) {
        let host = format!("Host: {address}");
        for origin in ["https://evil.example", "http://localhost:8080", "null", "http://127.0.0.1"] {
            let answer = ask(&address, &head, &[&host, &format!("Origin: {origin}")], body);
            assert!(is_forbidden(&answer), "{address} {head} {origin}: {answer}");
        }
    }
    let preflight = ask(
        &dev.dynamodb,
        "OPTIONS / HTTP/1.1",
        &[
            &format!("Host: {}", dev.dynamodb),
            "Origin: https://evil.example",
            "Access-Control-Request-Method: POST",
        ],
        "",
    );
    assert!(is_forbidden(&preflight), "{preflight}");
    assert!(!published(&dev).contains("forged"), "nothing was published");
}

#[test]
fn a_webhook_from_a_web_page_gets_403() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let address = dev.url.strip_prefix("http://").unwrap();
    let head = &format!("POST /webhooks/{EXAMPLE} HTTP/1.1");
    let answer = ask(address, head, &["Host: tunnel.example", "Origin: http://tunnel.example"], "{}");
    assert!(is_forbidden(&answer), "{answer}");
}

#[test]
fn dns_rebinding_gets_403_on_every_port() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    for (address, head, body) in requests(&dev) {
        let own = format!("Host: {address}");
        let port = address.rsplit_once(':').unwrap().1;
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.", "172.17.0.1"] {
            let foreign = format!("Host: {host}:{port}");
            for headers in [&[foreign.as_str()][..], &[&own, &foreign]] {
                let answer = ask(&address, &head, headers, body);
                // Some parsers reject a request with two Host headers.
                let is_rejected = is_forbidden(&answer) || answer.starts_with("HTTP/1.1 400 ");
                assert!(is_rejected, "{address} {head} {headers:?}: {answer}");
            }
        }
    }
}

#[test]
fn a_tunnel_reaches_webhooks_only_even_if_it_rewrites_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let forwarded = ["Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1", "x-forwarded-proto: https"];
    for (address, head, body) in requests(&dev) {
        for header in forwarded {
            let answer = ask(&address, &head, &[&format!("Host: {address}"), header], body);
            assert!(is_forbidden(&answer), "{address} {head} {header}: {answer}");
        }
    }
    let address = dev.url.strip_prefix("http://").unwrap();
    for host in ["tunnel.example", address] {
        for header in forwarded {
            let head = &format!("POST /webhooks/{EXAMPLE} HTTP/1.1");
            let answer = ask(address, head, &[&format!("Host: {host}"), header], "{}");
            assert!(answer.starts_with("HTTP/1.1 401 "), "the function must answer: {answer}");
        }
    }
}

#[test]
fn the_page_its_requests_and_containers_are_let_through() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    assert!(send(folder.path(), &[EXAMPLE, "room_started"]).status.success());
    let address = dev.url.strip_prefix("http://").unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    for host in [address.to_owned(), format!("localhost:{port}"), format!("[::1]:{port}")] {
        let own = [format!("Host: {host}"), format!("Origin: http://{host}")];
        let answer = ask(address, "GET /api/events HTTP/1.1", &[&own[0], &own[1]], "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let port = dev.dynamodb.rsplit_once(':').unwrap().1;
    for name in ["127.0.0.1", "localhost", "host.docker.internal", "host.containers.internal"] {
        let answer = ask(&dev.dynamodb, SCAN, &[&format!("Host: {name}:{port}")], SCAN_BODY);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"Count\":1"), "{answer}");
    }
    // A page loaded under a container's name for this machine is foreign.
    let name = format!("host.docker.internal:{port}");
    let own = [format!("Host: {name}"), format!("Origin: http://{name}")];
    let answer = ask(&dev.dynamodb, SCAN, &[&own[0], &own[1]], SCAN_BODY);
    assert!(is_forbidden(&answer), "{answer}");
}
