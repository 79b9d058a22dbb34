//! Too many requests: who calls too often is told when to come again (RFC 6585; `RateLimit` headers as in
//! draft-ietf-httpapi-ratelimit-headers).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracker_core::proxy::client_ip;

use crate::limits::{Quota, Standing};
use crate::names;
use crate::problem::Problem;
use crate::site::Site;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Passwords may be tried so often from one address, whoever's they are: a guess in half a minute.
const LOGINS_PER_ADDRESS: Quota = Quota {
    name: "login-address",
    most: 30,
    secs: 900,
};

/// And for one name, from wherever. More would lock the member out by somebody else's doing for longer.
const LOGINS_PER_NAME: Quota = Quota {
    name: "login-name",
    most: 20,
    secs: 900,
};

/// Registrations that may be tried from one address: each good one hashes a password, each bad one guesses a code.
const REGISTRATIONS_PER_ADDRESS: Quota = Quota {
    name: "register-address",
    most: 30,
    secs: 900,
};

/// An address of IPv6 is counted with all of its network: a line has a /64.
fn counted_as(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Before anything else is done for a request.
pub(crate) async fn throttle(
    State(site): State<Site>,
    mut request: Request,
    next: Next,
) -> Response {
    let socket = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let socket = socket.map_or(Ipv4Addr::UNSPECIFIED.into(), |info| {
        info.0.ip().to_canonical()
    });
    let address = Address(client_ip(request.headers(), socket, &site.proxies));
    request.extensions_mut().insert(address);
    let Some(most) = site.live.load().requests_per_minute else {
        return next.run(request).await;
    };
    let quota = Quota {
        name: "requests",
        most,
        secs: 60,
    };
    let who = counted_as(address.0);
    let standing = site.limits.count(quota, &who, site.now()).await;
    let mut response = match standing.is_over() {
        true => too_many(&standing).into_response(),
        false => next.run(request).await,
    };
    show(&standing, response.headers_mut());
    response
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address(pub(crate) IpAddr);

/// Before a password is compared: each costs a guesser a turn, right or wrong.
pub(crate) async fn allow_login(site: &Site, address: Address, name: &str) -> Result<(), Problem> {
    // Nobody is called otherwise, and what is counted takes room.
    names::check(name).map_err(|_| Problem::WRONG_CREDENTIALS)?;
    let name = name.to_lowercase();
    let address = counted_as(address.0);
    allow(site, LOGINS_PER_ADDRESS, &address).await?;
    allow(site, LOGINS_PER_NAME, &name).await
}

/// Before an invite code is looked up.
pub(crate) async fn allow_registration(site: &Site, address: Address) -> Result<(), Problem> {
    allow(site, REGISTRATIONS_PER_ADDRESS, &counted_as(address.0)).await
}

async fn allow(site: &Site, quota: Quota, who: &str) -> Result<(), Problem> {
    let standing = site.limits.count(quota, who, site.now()).await;
    match standing.is_over() {
        true => Err(too_many(&standing)),
        false => Ok(()),
    }
}

fn too_many(standing: &Standing) -> Problem {
    let Quota { most, secs, .. } = standing.quota;
    Problem {
        retry_after: Some(standing.reset),
        ..Problem::TOO_MANY.detail(format!("{most} in {secs} seconds is the most"))
    }
}

fn show(standing: &Standing, headers: &mut HeaderMap) {
    let Quota { name, most, secs } = standing.quota;
    let (left, reset) = (standing.remaining(), standing.reset);
    for (header, text) in [
        (RATE_LIMIT_POLICY, format!("\"{name}\";q={most};w={secs}")),
        (RATE_LIMIT, format!("\"{name}\";r={left};t={reset}")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header, value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_line_is_one_caller_whatever_addresses_it_takes() {
        let of = |text: &str| counted_as(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
