//! A browser's connection that is kept: one request after the other, every reply read to its end.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No reply that is asked for here is longer.
const LONGEST: usize = 4 << 20;

/// An open connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    host: String,
    /// What has been read of the reply.
    buffer: Vec<u8>,
}

/// A reply.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: address.to_string(),
            buffer: Vec::new(),
        })
    }

    /// Asks for a path, with an access token if there is one.
    pub(super) async fn get(&mut self, path: &str, access: Option<&str>) -> Result<Reply<'_>> {
        let access = access.map(|token| format!("authorization: Bearer {token}\r\n"));
        let (host, access) = (&self.host, access.unwrap_or_default());
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{access}\r\n");
        self.call(request.as_bytes()).await
    }

    /// Sends JSON.
    pub(super) async fn post(&mut self, path: &str, body: &str) -> Result<Reply<'_>> {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.call(request.as_bytes()).await
    }

    async fn call(&mut self, request: &[u8]) -> Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < head.end + head.length {
            self.read().await?;
        }
        Ok(Reply {
            status: head.status,
            body: &self.buffer[head.end..head.end + head.length],
        })
    }

    async fn read(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the server hung up");
        ensure!(self.buffer.len() < LONGEST, "a reply without an end");
        Ok(())
    }
}

struct Head {
    status: u16,
    end: usize,
    length: usize,
}

/// `None`: not all of it is there.
fn head(buffer: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(buffer)? else {
        return Ok(None);
    };
    let status = response.code.context("no status")?;
    let mut headers = response.headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("a reply without content-length")?;
    let length = std::str::from_utf8(length.value)?.parse()?;
    Ok(Some(Head {
        status,
        end,
        length,
    }))
}
