//! Does Redis answer? One PING over a plain socket; the client library is for those who do more.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Finding;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(3);

/// Nothing to say when there is none.
pub(super) fn look(config: &Config) -> Option<Finding> {
    if config.redis_url.is_empty() {
        return None;
    }
    let shown = config.redis_url.redacted();
    let (place, encrypted, password) = place_of(config.redis_url.expose());
    Some(match ping(&place, encrypted) {
        Err(error) => Finding::fail("redis", format!("{shown}: {error}")),
        Ok(reply) if encrypted => {
            Finding::ok("redis", format!("{shown}: {reply} (TLS isn't tried)"))
        }
        Ok(reply) if reply.starts_with("+PONG") => Finding::ok("redis", shown),
        Ok(reply) if reply.starts_with("-NOAUTH") && password => Finding::ok(
            "redis",
            format!("{shown}: answers (the password isn't tried)"),
        ),
        Ok(reply) => Finding::fail("redis", format!("{shown}: {}", reply.trim())),
    })
}

/// `host:port`, is it TLS, and is there a password?
fn place_of(url: &str) -> (String, bool, bool) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
    let (login, rest) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(login, rest)| (Some(login), rest));
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let place = if has_port {
        host.to_owned()
    } else {
        format!("{host}:6379")
    };
    (place, scheme == "rediss", login.is_some())
}

fn ping(place: &str, encrypted: bool) -> io::Result<String> {
    let address = place
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other("the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    if encrypted {
        return Ok("reachable".to_owned());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 128];
    let length = stream.read(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn redis_addresses_in_their_usual_forms() {
        let table = [
            ("redis://cache", "cache:6379", false, false),
            ("redis://cache:7000/1", "cache:7000", false, false),
            ("redis://:p@ss@[::1]:6380", "[::1]:6380", false, true),
            ("rediss://cache?x=1", "cache:6379", true, false),
        ];
        for (url, place, encrypted, password) in table {
            assert_eq!(
                place_of(url),
                (place.to_owned(), encrypted, password),
                "{url}"
            );
        }
    }
}
