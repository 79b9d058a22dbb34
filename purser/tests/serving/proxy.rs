//! A way to Postgres that breaks at the worst moment: when a transaction is being committed.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rand::RngExt;
use rand::rngs::SmallRng;

/// As sqlx sends it, a simple query.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The answer when it has been done.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// Listens until the test's process ends.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    is_cutting: bool,
    rng: SmallRng,
    cuts: Cuts,
}

/// Connections cut so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cuts {
    /// The server never heard of the commit.
    pub(crate) before: u32,
    /// The server did commit, and its answer is lost.
    pub(crate) after: u32,
}

impl Proxy {
    /// Lets everything through at first. `server`: HOST:PORT.
    pub(crate) fn to(server: &str, rng: SmallRng) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            is_cutting: false,
            rng,
            cuts: Cuts::default(),
        }));
        let (server, shared) = (server.to_owned(), Arc::clone(&state));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(&server).unwrap();
                connect(client, server, &shared);
            }
        });
        Self { port, state }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on, every third commit is cut off; or none any more.
    pub(crate) fn set_cutting(&self, is_cutting: bool) {
        self.state.lock().unwrap().is_cutting = is_cutting;
    }

    pub(crate) fn cuts(&self) -> Cuts {
        self.state.lock().unwrap().cuts
    }
}

/// What becomes of a commit.
enum Fate {
    Done,
    CutBefore,
    CutAfter,
}

impl State {
    fn fate(&mut self) -> Fate {
        match self.rng.random_range(0..6) {
            0 if self.is_cutting => Fate::CutBefore,
            1 if self.is_cutting => Fate::CutAfter,
            _ => Fate::Done,
        }
    }
}

/// A thread for each direction; when one ends, so does the other.
fn connect(client: TcpStream, server: TcpStream, state: &Arc<Mutex<State>>) {
    let is_last = Arc::new(AtomicBool::new(false));
    let forth = Pipe::new(&client, &server, state, &is_last);
    let back = Pipe::new(&server, &client, state, &is_last);
    std::thread::spawn(move || forth.run(Pipe::pass_questions));
    std::thread::spawn(move || back.run(Pipe::pass_answers));
}

struct Pipe {
    from: TcpStream,
    to: TcpStream,
    state: Arc<Mutex<State>>,
    /// What the server says next is never passed on.
    is_last: Arc<AtomicBool>,
}

impl Pipe {
    fn new(
        from: &TcpStream,
        to: &TcpStream,
        state: &Arc<Mutex<State>>,
        is_last: &Arc<AtomicBool>,
    ) -> Self {
        from.set_nodelay(true).unwrap();
        Self {
            from: from.try_clone().unwrap(),
            to: to.try_clone().unwrap(),
            state: Arc::clone(state),
            is_last: Arc::clone(is_last),
        }
    }

    fn run(self, pass: fn(&Self) -> io::Result<()>) {
        // An error is an end like any other.
        pass(&self).ok();
        self.from.shutdown(Shutdown::Both).ok();
        self.to.shutdown(Shutdown::Both).ok();
    }

    /// Message by message: a type, a length that counts itself, and so much more. The first has no type.
    fn pass_questions(&self) -> io::Result<()> {
        let mut from = BufReader::new(&self.from);
        let mut message = vec![0; 4];
        from.read_exact(&mut message)?;
        loop {
            let (_, length) = message.split_last_chunk::<4>().unwrap();
            let rest = u64::from(u32::from_be_bytes(*length) - 4);
            from.by_ref().take(rest).read_to_end(&mut message)?;
            if message == COMMIT {
                let mut state = self.state.lock().unwrap();
                match state.fate() {
                    Fate::Done => {}
                    Fate::CutBefore => {
                        state.cuts.before += 1;
                        return Ok(());
                    }
                    Fate::CutAfter => self.is_last.store(true, SeqCst),
                }
            }
            (&self.to).write_all(&message)?;
            message.resize(5, 0);
            from.read_exact(&mut message)?;
        }
    }

    fn pass_answers(&self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        loop {
            let length = (&self.from).read(&mut bytes)?;
            if length == 0 {
                return Ok(());
            }
            // sqlx has read everything before it commits, so this is the answer.
            if self.is_last.load(SeqCst) {
                if bytes.starts_with(COMMITTED) {
                    self.state.lock().unwrap().cuts.after += 1;
                }
                return Ok(());
            }
            (&self.to).write_all(&bytes[..length])?;
        }
    }
}
