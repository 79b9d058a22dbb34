//! A Redis of a test's own, so that it can be killed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::site::until;

/// A running one.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--dir", folder.path().to_str().unwrap()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// It doesn't come back.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
