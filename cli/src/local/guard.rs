//! Restricts a local server to programs on this machine and to its own page.
//!
//! A foreign web page is recognized by its `Origin`, DNS rebinding by the `Host`, and a tunnel by its forwarding
//! headers. All three get a 403 without CORS headers. A tunnel that forwards plain TCP looks like a program on this
//! machine and is let through.

use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;

use super::problem;

/// What a server offers, which decides who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Webhooks: open to any host name and to tunnels, because each delivery is verified.
    Webhooks,
    /// The page and its API: loopback names only.
    Page,
    /// Local AWS services at this address, which containers reach under other names.
    Aws(Ipv4Addr),
}

/// The host's names inside Docker and Podman containers.
const CONTAINER_NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

impl Guard {
    /// Protects all routes, and the fallback, added so far.
    pub fn protect(self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self, check))
    }

    fn objection(self, headers: &HeaderMap) -> Option<&'static str> {
        let mut hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let (host, another) = (hosts.next().unwrap_or_default(), hosts.next());
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if origins.any(|origin| !is_loopback(host) || origin != format!("http://{host}").as_str()) {
            return Some("Requests from other web pages are rejected.");
        }
        if self == Self::Webhooks {
            return None;
        }
        if another.is_some() || !self.is_own(host) {
            return Some(
                "The Host header must be a loopback name or, on the AWS ports, the address of --aws-host.",
            );
        }
        headers.keys().any(is_forwarding).then_some("Tunnels and proxies can reach webhooks only.")
    }

    fn is_own(self, host: &str) -> bool {
        let is_aws = |address: Ipv4Addr| {
            let name = name(host);
            // DNS can map a name to this machine, but not an address.
            let is_address =
                name.parse().is_ok_and(|found: Ipv4Addr| found == address || address.is_unspecified());
            is_address || CONTAINER_NAMES.contains(&name)
        };
        is_loopback(host) || matches!(self, Self::Aws(address) if is_aws(address))
    }
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.objection(request.headers()) {
        Some(why) => problem(StatusCode::FORBIDDEN, why),
        None => next.run(request).await,
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(name(host), "127.0.0.1" | "localhost" | "[::1]")
}

/// The host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_forwarding(name: &HeaderName) -> bool {
    name == header::FORWARDED || name.as_str().starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(guard: Guard, host: &str) -> bool {
        guard.objection(&HeaderMap::from_iter([(header::HOST, host.parse().unwrap())])).is_none()
    }

    #[test]
    fn the_address_of_aws_host_is_accepted_on_the_aws_ports_only() {
        let bridge = Ipv4Addr::new(172, 17, 0, 1);
        assert!(is_answered(Guard::Aws(bridge), "172.17.0.1:3001"));
        assert!(!is_answered(Guard::Aws(bridge), "172.17.0.2:3001"));
        assert!(!is_answered(Guard::Page, "172.17.0.1:3000"));
        assert!(!is_answered(Guard::Page, "host.docker.internal:3000"));
        for host in ["192.0.2.7:3001", "127.0.0.1:3001", "host.docker.internal:3001"] {
            assert!(is_answered(Guard::Aws(Ipv4Addr::UNSPECIFIED), host), "{host}");
        }
        assert!(!is_answered(Guard::Aws(Ipv4Addr::UNSPECIFIED), "evil.example:3001"));
        assert!(!is_answered(Guard::Page, ""));
    }
}
