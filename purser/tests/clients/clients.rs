//! Torrent clients with one torrent, and the tracker as their only way to peers: no DHT, PEX or local discovery.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::programs::{Program, clean, free_port};
use crate::site::Site;
use crate::torrents::PYTHON;

/// Arguments: the .torrent, the folder, where to listen. Runs until SIGINT, and ends once the tracker has answered `stopped`
/// for both of a hybrid's hashes (or hasn't, for a while). A session's end alone wouldn't say it over UDP.
const LIBTORRENT: &str = "
import signal, sys, time
import libtorrent

torrent, folder, listen = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
session = libtorrent.session({
    'listen_interfaces': listen,
    'enable_dht': False,
    'enable_lsd': False,
    'enable_upnp': False,
    'enable_natpmp': False,
    'ssrf_mitigation': False, # it would announce to loopback addresses at /announce only, without the key
    'alert_mask': libtorrent.alert.category_t.all_categories,
})
handle = session.add_torrent({'ti': libtorrent.torrent_info(torrent), 'save_path': folder})

def replies():
    count = 0
    for alert in session.pop_alerts():
        count += isinstance(alert, libtorrent.tracker_reply_alert)
        if isinstance(alert, (libtorrent.tracker_announce_alert, libtorrent.tracker_error_alert)):
            print(alert.message(), flush=True)
    return count

while signal.sigtimedwait([signal.SIGINT], 0.1) is None:
    replies()
handle.unset_flags(libtorrent.torrent_flags.auto_managed)
handle.pause()
answered, begun = 0, time.monotonic()
while answered < 2 and time.monotonic() < begun + 20:
    answered += replies()
    time.sleep(0.1)
";

/// What a client starts with. If the torrent's file is in the folder, it seeds; else it gets it, and seeds then.
pub(crate) struct Start<'site> {
    pub(crate) site: &'site Site,
    pub(crate) address: IpAddr,
    pub(crate) torrent: PathBuf,
    pub(crate) folder: PathBuf,
}

/// A running client.
pub(crate) struct Client {
    program: Program,
    /// Transmission's remote control.
    rpc: Option<String>,
}

impl Start<'_> {
    pub(crate) fn transmission(&self) -> Client {
        let (home, watched) = (self.home("transmission"), self.home("watched"));
        fs::copy(&self.torrent, watched.join("film.torrent")).unwrap();
        let rpc_port = free_port();
        let mut settings = json!({
            "dht-enabled": false,
            "pex-enabled": false,
            "lpd-enabled": false,
            "utp-enabled": false,
            "port-forwarding-enabled": false,
            "bind-address-ipv6": "::1",
            "peer-port": free_port(),
            "rpc-bind-address": "127.0.0.1",
            "rpc-port": rpc_port,
            "watch-dir-enabled": true,
            "watch-dir": watched,
            "download-dir": self.folder,
        });
        // Announces to an IPv6 tracker would leave from here, too.
        if self.address.is_ipv4() {
            settings["bind-address-ipv4"] = json!("127.0.0.1");
        }
        fs::write(home.join("settings.json"), settings.to_string()).unwrap();
        let mut command = clean("transmission-daemon", &home);
        command
            .args(["--foreground", "--log-info", "--config-dir"])
            .arg(&home);
        let program = Program::start(command, home.join("log"), None);
        Client {
            program,
            rpc: Some(format!("127.0.0.1:{rpc_port}")),
        }
    }

    pub(crate) fn aria2(&self) -> Client {
        let home = self.home("aria2");
        let mut command = clean("aria2c", &home);
        command
            .args([
                "--no-conf",
                "--no-netrc",
                "--check-integrity",
                "--seed-ratio=0",
            ])
            .args([
                "--enable-dht=false",
                "--enable-dht6=false",
                "--bt-enable-lpd=false",
            ])
            .args([
                "--enable-peer-exchange=false",
                "--show-console-readout=false",
            ])
            .arg(format!("--listen-port={}", free_port()))
            .arg(format!("--interface={}", self.address))
            .arg(format!("--dir={}", self.folder.display()))
            .arg(&self.torrent);
        let program = Program::start(command, home.join("log"), None);
        Client { program, rpc: None }
    }

    pub(crate) fn libtorrent(&self) -> Client {
        let home = self.home("libtorrent");
        let mut command = clean(PYTHON, &home);
        command
            .args(["-c", LIBTORRENT])
            .arg(&self.torrent)
            .arg(&self.folder);
        command.arg(SocketAddr::new(self.address, free_port()).to_string());
        let program = Program::start(command, home.join("log"), None);
        Client { program, rpc: None }
    }

    /// A folder for a program that works on this one.
    fn home(&self, program: &str) -> PathBuf {
        let folder = self.folder.file_name().unwrap().to_str().unwrap();
        self.site.folder(&format!("{folder}-{program}"))
    }
}

impl Client {
    /// Makes it say `stopped` to the tracker. Transmission 3.00 would end without a word, so its torrent is paused instead,
    /// and it says so soon.
    pub(crate) fn stop(&mut self) {
        let Some(rpc) = &self.rpc else {
            let status = self.program.end(Signal::INT);
            assert!(status.code().is_some(), "{status}");
            return;
        };
        let mut command = Command::new("transmission-remote");
        let output = command
            .args([rpc, "--torrent", "all", "--stop"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
}
