//! Announces through a socket: the clients are a process of their own, which valgrind doesn't count.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tracker_core::record::Event;
use tracker_core::server::{Listener, Options};

use super::workloads::site;
use crate::workload::NUMWANT;

/// Each has one request on its way; a server that is slower than they are finds all of them waiting.
const CONNECTIONS: usize = 16;

/// What a reply to the workload has, in the mean.
const BODY_BYTES: usize = 300;

/// Purser, whole, but for the journal.
pub(super) fn purser(announces: u64) -> Result<()> {
    let site = site();
    let options = Options {
        http: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        workers: 1,
        ..Options::default()
    };
    let listener = Listener::bind(&options)?;
    let address = listener.http()[0];
    let server = listener.serve(&Arc::clone(&site.tracker))?;
    let announced = run_clients(address, announces);
    server.stop();
    announced
}

/// hyper as it comes, and a reply of the same size.
pub(super) fn hyper(announces: u64) -> Result<()> {
    // So that both have made the same site.
    let site = site();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    local.spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // As Purser does.
            let _ = stream.set_nodelay(true);
            let service = service_fn(async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                    &[b'x'; BODY_BYTES],
                ))))
            });
            tokio::task::spawn_local(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let clients = runtime.spawn_blocking(move || run_clients(address, announces));
    runtime.block_on(local.run_until(clients))??;
    drop(site);
    Ok(())
}

fn run_clients(server: SocketAddr, announces: u64) -> Result<()> {
    let clients = Command::new(std::env::current_exe()?)
        .args(["clients", &server.to_string(), &announces.to_string()])
        .status()
        .context("can't start the clients")?;
    ensure!(clients.success(), "the clients failed");
    Ok(())
}

/// Announces in turns: one over each connection, then all replies.
pub(super) fn clients(server: SocketAddr, announces: u64) -> Result<()> {
    let site = site();
    let mut requests = site.sessions.iter().cycle().map(|session| {
        let ask = site.ask_with_token(session, Event::None, NUMWANT);
        format!(
            "GET /announce/{}?{} HTTP/1.1\r\nHost: 127.0.0.1:6969\r\nUser-Agent: qBittorrent/4.6.5\r\n\
             Accept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n",
            ask.key, ask.query
        )
    });
    let connect = |_| TcpStream::connect(server);
    let mut sockets: Vec<_> = (0..CONNECTIONS).map(connect).collect::<Result<_, _>>()?;
    let mut reply = [0; 4096];
    let mut made = 0;
    while made < announces {
        for socket in &mut sockets {
            let request = requests.next().unwrap_or_default();
            socket.write_all(request.as_bytes())?;
        }
        for socket in &mut sockets {
            // A reply is one write, and smaller than a packet.
            let length = socket.read(&mut reply)?;
            let reply = &reply[..length];
            ensure!(
                reply.starts_with(b"HTTP/1.1 200"),
                "{}",
                reply.escape_ascii()
            );
            ensure!(
                !reply.windows(8).any(|word| word == b"failure "),
                "{}",
                reply.escape_ascii()
            );
            made += 1;
        }
    }
    Ok(())
}
