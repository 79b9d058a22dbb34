//! Who is behind a proxy.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

use crate::reply::is_somebody;
use crate::settings::Settings;

/// Whom a connection's other end speaks for. Through proxies, the last address in the header that isn't a trusted proxy's own: what stands before it is hearsay.
pub fn client_ip(headers: &HeaderMap, socket: IpAddr, settings: &Settings) -> IpAddr {
    let Some(name) = &settings.client_ip_header else {
        return socket;
    };
    if !settings.trusts(socket) {
        return socket;
    }
    headers
        .get_all(name)
        .iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','))
        .filter(|text| !text.trim_ascii().is_empty())
        .map_while(forwarded_ip)
        .find(|&ip| !settings.trusts(ip))
        .unwrap_or(socket)
}

/// As proxies write it: an address, perhaps quoted, in brackets, with a port. Nobody's address isn't one.
fn forwarded_ip(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let ip: IpAddr = text.parse().ok().or_else(in_brackets).or_else(with_port)?;
    Some(ip.to_canonical()).filter(is_somebody)
}
