//! Too many requests: who calls too often is told when to come again (RFC 6585; `RateLimit` headers as in
//! draft-ietf-httpapi-ratelimit-headers).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use store::{User, UserRole};
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
    let counted = Counted::default();
    request.extensions_mut().insert(counted.clone());
    let of_address = match site.live.load().requests_per_minute {
        Some(most) => {
            let quota = Quota {
                name: "requests",
                most,
                secs: 60,
            };
            let who = counted_as(address.0);
            Some(site.limits.count(quota, &who, site.now()).await)
        }
        None => None,
    };
    let mut response = match of_address {
        Some(standing) if standing.is_over() => too_many(&standing).into_response(),
        _ => next.run(request).await,
    };
    let standings = [of_address, counted.0.get().copied()];
    show(standings.iter().flatten(), response.headers_mut());
    response
}

/// How the member stands whose request it is, once that is known. However often it is asked who calls, a request is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(Arc<OnceLock<Standing>>);

/// Once it is known who calls: each has what their class has, from wherever. Staff have work to do.
pub(crate) async fn allow_member(
    site: &Site,
    counted: &Counted,
    user: &User,
    by_key: bool,
) -> Result<(), Problem> {
    let privileges = site.economy.class(user.class).privileges;
    let most = privileges.requests_per_minute;
    if most == 0 || user.role >= UserRole::Staff {
        return Ok(());
    }
    let standing = match counted.0.get() {
        Some(standing) => *standing,
        None => {
            let quota = Quota {
                name: "member",
                most,
                secs: 60,
            };
            // Apart, so that who has a stolen key can't keep its member from ending it.
            let credential = if by_key { "keys" } else { "logins" };
            let who = format!("{}:{credential}", user.id.0);
            let standing = site.limits.count(quota, &who, site.now()).await;
            *counted.0.get_or_init(|| standing)
        }
    };
    pass(&standing)
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
    pass(&site.limits.count(quota, who, site.now()).await)
}

fn pass(standing: &Standing) -> Result<(), Problem> {
    match standing.is_over() {
        true => Err(too_many(standing)),
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

/// Each header is a list, with one member for each quota.
fn show<'s>(standings: impl Iterator<Item = &'s Standing>, headers: &mut HeaderMap) {
    let (mut policies, mut limits) = (Vec::new(), Vec::new());
    for standing in standings {
        let Quota { name, most, secs } = standing.quota;
        let (left, reset) = (standing.remaining(), standing.reset);
        policies.push(format!("\"{name}\";q={most};w={secs}"));
        limits.push(format!("\"{name}\";r={left};t={reset}"));
    }
    for (header, list) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)] {
        match HeaderValue::from_str(&list.join(", ")) {
            Ok(value) if !value.is_empty() => headers.insert(header, value),
            _ => None,
        };
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
