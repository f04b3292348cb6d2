//! Lambda events: a delivery as API Gateway sends it, and stored events as DynamoDB's stream sends them.

use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A delivery to wrap in an envelope.
#[derive(Clone, Debug)]
pub struct Delivered<'a> {
    /// The provider's path, including the token.
    pub path: &'a str,
    /// The path's `{token}`.
    pub url_token: Option<&'a str>,
    /// The headers; values of a repeated name are joined, as API Gateway does.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
    /// Whether to encode the body in base64; a body that is not UTF-8 always is.
    pub base64: bool,
    /// When API Gateway received it.
    pub received_at: Timestamp,
}

impl Delivered<'_> {
    /// The event of an HTTP API, payload format 2.0.
    pub fn http_api(&self) -> Value {
        let (body, is_base64) = self.body();
        let route = format!("POST {}", self.resource());
        json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": self.path,
            "rawQueryString": "",
            "headers": self.headers(),
            "pathParameters": self.path_parameters(),
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api",
                "domainName": "api.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "api",
                "http": {
                    "method": "POST",
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "",
                },
                "requestId": "request",
                "routeKey": route,
                "stage": "$default",
                "time": self.received_at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
                "timeEpoch": self.received_at.as_millisecond(),
            },
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }

    /// The event of a REST API's proxy integration.
    pub fn rest_api(&self) -> Value {
        let (body, is_base64) = self.body();
        let headers = self.headers();
        let multi: Map<String, Value> =
            headers.iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
        json!({
            "resource": self.resource(),
            "path": self.path,
            "httpMethod": "POST",
            "headers": headers,
            "multiValueHeaders": multi,
            "queryStringParameters": null,
            "multiValueQueryStringParameters": null,
            "pathParameters": self.path_parameters(),
            "stageVariables": null,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api",
                "domainName": "api.execute-api.us-east-1.amazonaws.com",
                "httpMethod": "POST",
                "identity": { "sourceIp": "192.0.2.1", "userAgent": "" },
                "path": format!("/prod{}", self.path),
                "protocol": "HTTP/1.1",
                "requestId": "request",
                "requestTime": self.received_at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
                "requestTimeEpoch": self.received_at.as_millisecond(),
                "resourceId": "resource",
                "resourcePath": self.resource(),
                "stage": "prod",
            },
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }

    fn resource(&self) -> String {
        match self.url_token {
            Some(token) => format!("{}{{token}}", self.path.strip_suffix(token).unwrap_or(self.path)),
            None => self.path.to_owned(),
        }
    }

    fn path_parameters(&self) -> Value {
        self.url_token.map_or(Value::Null, |token| json!({ "token": token }))
    }

    fn headers(&self) -> Map<String, Value> {
        let mut joined: Map<String, Value> = Map::new();
        for (name, value) in self.headers {
            let value = match joined.get(name).and_then(Value::as_str) {
                Some(before) => format!("{before},{value}"),
                None => value.clone(),
            };
            joined.insert(name.clone(), value.into());
        }
        joined
    }

    fn body(&self) -> (String, bool) {
        match std::str::from_utf8(self.body) {
            Ok(text) if !self.base64 => (text.to_owned(), false),
            _ => (BASE64.encode(self.body), true),
        }
    }
}

/// A batch of DynamoDB's stream that inserts these events, each given as `event_key` and CloudEvents JSON.
pub fn stream(events: &[(String, String)]) -> Value {
    let record = |(index, (key, event)): (usize, &(String, String))| {
        let keys = json!({ "event_key": { "S": key }, "occurrence": { "N": "0" } });
        let mut image = keys.clone();
        image["event"] = json!({ "S": event });
        json!({
            "eventID": format!("{index:032x}"),
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_767_225_600,
                "Keys": keys,
                "NewImage": image,
                "SequenceNumber": format!("{:021}", 100 + index),
                "SizeBytes": event.len(),
                "StreamViewType": "NEW_IMAGE",
            },
            "eventSourceARN":
                "arn:aws:dynamodb:us-east-1:123456789012:table/Events/stream/2026-01-01T00:00:00.000",
        })
    };
    json!({ "Records": events.iter().enumerate().map(record).collect::<Vec<_>>() })
}
