//! The API's and the metrics' listeners: few clients, and patience with none of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::extract::connect_info::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

/// Open connections of one listener; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;

/// From the first moment to the end of a request's headers, and between two requests.
const HEADER_LIMIT: Duration = Duration::from_secs(15);

/// When the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Until told to stop; then open requests are finished.
pub(super) async fn serve_http(
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let open = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|&stop| stop) => break,
        };
        let Ok((stream, from)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = open.watch(connection(stream, from, router.clone()));
        tokio::spawn(async move {
            let _place = place;
            // What is wrong with a connection is its client's affair.
            let _ = connection.await;
        });
    }
    open.shutdown().await;
    Ok(())
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, from: SocketAddr, router: Router) -> Connection {
    // The API asks where a request comes from.
    let router = router.layer(Extension(ConnectInfo(from)));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}
