//! Canned replies over HTTP.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::Kind;

/// A request that is longer isn't an announce.
const BUFFER: usize = 4096;

/// A worker's whole life.
pub(super) fn serve(
    kind: Kind,
    listener: TcpListener,
    body: &[u8],
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let body = Bytes::copy_from_slice(body);
    local.block_on(&runtime, async {
        tokio::select! {
            ended = accept(kind, listener, body) => ended,
            _ = stopped.wait_for(|&stop| stop) => Ok(()),
        }
    })
}

async fn accept(kind: Kind, listener: TcpListener, body: Bytes) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let whole: Rc<[u8]> = whole_reply(&body).into();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        match kind {
            Kind::Hyper => {
                let body = body.clone();
                let answer = service_fn(move |_: Request<Incoming>| {
                    let body = body.clone();
                    async { Ok::<_, Infallible>(Response::new(Full::new(body))) }
                });
                // As the tracker has it: see there.
                let served = http1::Builder::new()
                    .writev(false)
                    .serve_connection(TokioIo::new(socket), answer);
                tokio::task::spawn_local(served);
            }
            _ => {
                tokio::task::spawn_local(answer_all(socket, Rc::clone(&whole)));
            }
        }
    }
}

/// As many bytes as hyper's.
fn whole_reply(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ndate: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

async fn answer_all(mut socket: TcpStream, reply: Rc<[u8]>) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    let mut filled = 0;
    loop {
        let count = socket.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&buffer[..filled]) {
            Ok(httparse::Status::Complete(_)) => {
                filled = 0;
                socket.write_all(&reply).await?;
            }
            Ok(httparse::Status::Partial) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}
