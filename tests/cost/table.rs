//! The table in `docs/cost.md`, and the access log in `template.yaml`.

use std::fs;
use std::path::Path;

/// A row: what is charged, its list price, and its amount and cost at each size of body.
#[derive(Debug)]
pub struct Row {
    pub what: String,
    price: String,
    pub amounts: [String; 2],
    pub costs: [f64; 2],
}

impl Row {
    /// The amount without its unit, millions or GB; 0 if the cell is empty.
    pub fn amount(&self, column: usize) -> f64 {
        self.amounts[column].split(' ').next().and_then(|amount| amount.parse().ok()).unwrap_or(0.0)
    }

    /// The list price of a million units or a GB, for the time that it is stored; `None` if it depends on more than one
    /// amount.
    pub fn price_per_unit(&self) -> Option<f64> {
        let (price, unit) = self.price.split_once(" per ")?;
        let months = if unit.starts_with("GB-month") { 3.0 } else { 1.0 };
        let is_single =
            unit.starts_with("GB") || unit.starts_with("M write units") || unit.starts_with("M read units");
        Some(price.parse::<f64>().ok().filter(|_| is_single)? * months)
    }

    /// Whether it is the sum of the rows before.
    pub fn is_sum(&self) -> bool {
        self.price.is_empty()
    }
}

/// The rows of the table, and its sums.
pub fn rows() -> Vec<Row> {
    let page = root("docs/cost.md");
    let lines = page.lines().skip_while(|line| !line.starts_with("| per million events |"));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let mut price = String::new();
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('*')).collect();
        let [_, what, list_price, small, small_cost, large, large_cost, _] = cells[..] else {
            panic!("expected six cells, found {line}");
        };
        if list_price != "the same" {
            price = list_price.to_owned();
        }
        let large = if large == "the same" { small } else { large };
        Row {
            what: what.to_owned(),
            price: price.clone(),
            amounts: [small.to_owned(), large.to_owned()],
            costs: [small_cost, large_cost].map(|cost| cost.parse().unwrap()),
        }
    })
    .collect()
}

/// The bytes of a typical line of the access log for a route.
pub fn access_log_bytes(provider: &str) -> usize {
    let template = root("template.yaml");
    let format = template.split("Format: >-\n").nth(1).unwrap().lines().next().unwrap().trim();
    let route = match template.contains(&format!("/webhooks/{provider}/{{token}}")) {
        true => format!("POST /webhooks/{provider}/{{token}}"),
        false => format!("POST /webhooks/{provider}"),
    };
    let values = [
        ("requestId", "YsNqQg6joAMEMBQ="),
        ("routeKey", &route),
        ("status", "200"),
        ("identity.sourceIp", "203.0.113.117"),
        ("identity.userAgent", "Go-http-client/1.1"),
        ("responseLatency", "15"),
        ("integration.error", "-"),
    ];
    let line = values.iter().fold(format.to_owned(), |line, (name, value)| {
        line.replace(&format!("\"$context.{name}\""), &format!("\"{value}\""))
    });
    assert!(!line.contains("$context"), "no typical value for {line}");
    line.len()
}

fn root(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)).unwrap()
}
