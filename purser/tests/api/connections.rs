//! Connections: what one client may take of them from the others.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio::net::TcpSocket;

use crate::people::Club;
use crate::site::{Database, PATIENCE, Server, runtime, until};

/// Of one address at most.
const MOST: usize = 128;

const REQUEST: &[u8] = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";

fn address(server: &Server) -> SocketAddr {
    let url = server.banner["api"].as_str().unwrap();
    url.split('/').nth(2).unwrap().parse().unwrap()
}

/// From another address than everybody else here.
fn connect(server: &Server) -> TcpStream {
    let to = address(server);
    let stream = runtime().block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let stream = socket.connect(to).await.unwrap();
        stream.into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether there is a reply.
fn is_served(mut stream: &TcpStream) -> bool {
    let mut reply = [0; 12];
    stream.write_all(REQUEST).is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && reply == *b"HTTP/1.1 200"
}

#[test]
fn one_address_has_so_many_connections_and_others_have_theirs() {
    let club = Club::open(Database::Sqlite);
    let open: Vec<_> = (0..MOST).map(|_| connect(&club.server)).collect();
    assert!(is_served(&open[MOST - 1]));
    assert!(!is_served(&connect(&club.server)));
    assert_eq!(club.anonymous().get("/api/").status, 200);
    drop(open);
    until(|| is_served(&connect(&club.server)).then_some(()));
}

#[test]
fn a_trusted_proxy_has_as_many_as_it_needs() {
    let env = [("PURSER__TRACKER__TRUSTED_PROXIES", "127.0.0.2")];
    let club = Club::open_with(Database::Sqlite, &env);
    let open: Vec<_> = (0..=MOST).map(|_| connect(&club.server)).collect();
    assert!(is_served(&open[MOST]));
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    let club = Club::open(Database::Sqlite);
    let mut stream = connect(&club.server);
    // More and more requests, until the replies fill every buffer between us and the server lets go of both.
    let ended = loop {
        if let Err(error) = stream.write_all(REQUEST) {
            break error.kind();
        }
    };
    assert!(
        [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&ended),
        "{ended:?}"
    );
}
