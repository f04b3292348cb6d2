//! Who may use a local server: programs on this machine, and the page that it serves itself.
//!
//! A web page from elsewhere shows by its `Origin`, a name that was made to point here by its `Host`, a tunnel by
//! what it says about the forwarding. All three get a 403 without any CORS header. A tunnel that forwards plain TCP
//! looks like a program on this machine.

use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;

use super::problem;

/// What a server offers, and so who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Webhooks, under any name and through tunnels: they are verified.
    Webhooks,
    /// The page and its API, on loopback names.
    Page,
    /// Stand-ins for AWS that listen on this address; containers reach them under names of their own.
    Aws(Ipv4Addr),
}

/// How Docker and Podman call this machine in a container.
const CONTAINER_NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

impl Guard {
    /// Puts the guard in front of all routes and the fallback that were added so far.
    pub fn protect(self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self, check))
    }

    fn objection(self, headers: &HeaderMap) -> Option<&'static str> {
        let mut hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let (host, another) = (hosts.next().unwrap_or_default(), hosts.next());
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if origins.any(|origin| !is_loopback(host) || origin != format!("http://{host}").as_str()) {
            return Some("Web pages from elsewhere are not answered.");
        }
        if self == Self::Webhooks {
            return None;
        }
        if another.is_some() || !self.is_own(host) {
            return Some("Only loopback names, and the address of --aws-host on its ports, are answered.");
        }
        headers.keys().any(is_forwarding).then_some("Only webhooks are answered through tunnels and proxies.")
    }

    fn is_own(self, host: &str) -> bool {
        let is_aws = |address: Ipv4Addr| {
            let name = name(host);
            // A name can be made to point here, an address cannot.
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
    fn the_address_of_aws_host_opens_its_own_ports_and_no_others() {
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
