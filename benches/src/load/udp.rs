//! Announces over UDP (BEP 15), with the key in BEP 41's URL data. Each socket has several out, sent and received in
//! batches; what isn't answered is sent again.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::MsgFlags;

use super::clients::{Ask, Clients, Session};
use super::pace::{Done, NAP, Next, Phase, Run, TIMER, Timer};
use super::reply::{Fault, Reply};
use super::run::Load;
use super::site::Spelled;
use super::tally::{FAILURES_MAX, Failures};
use crate::packets::{BATCH, Inbox, Outbox};

/// BEP 15's magic number, in place of a connection id.
pub(crate) const PROTOCOL: u64 = 0x0417_2710_1980;

pub(crate) const CONNECT: u32 = 0;
pub(crate) const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

/// BEP 15 lets clients use a connection id for a minute.
const REFRESH: Duration = Duration::from_secs(60);

/// Without a reply for so long, a packet is taken for lost. BEP 15's 15 s are for slower networks than loopback.
const RESEND: Duration = Duration::from_millis(500);

/// Then it is given up, which is a failure.
const TRIES: u32 = 8;

/// A socket's outstanding requests are numbered below this: a transaction id is this times a serial number, plus that.
const SLOTS: u32 = 1024;

/// The connect's place.
const CONNECTING: u32 = SLOTS - 1;

/// What is said, as bytes.
#[derive(Debug)]
pub struct UdpRequests {
    spelled: Spelled,
    numwant: u32,
    url: Vec<u8>,
}

impl UdpRequests {
    /// From ready pieces.
    pub fn new(spelled: Spelled, numwant: u32) -> Self {
        Self {
            spelled,
            numwant,
            url: Vec::new(),
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, session: &Session, ask: Ask, id: u64, transaction: u32) {
        let put = |out: &mut Vec<u8>, number: u32| out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&id.to_be_bytes());
        if ask == Ask::Scrape {
            put(out, SCRAPE);
            put(out, transaction);
            out.extend_from_slice(self.spelled.hash(session.torrent));
            return;
        }
        put(out, ANNOUNCE);
        put(out, transaction);
        out.extend_from_slice(self.spelled.hash(session.torrent));
        out.extend_from_slice(&session.peer_id());
        for counter in [session.downloaded, session.left(), session.uploaded] {
            out.extend_from_slice(&counter.to_be_bytes());
        }
        put(out, event(ask));
        put(out, 0); // the address: the packet's
        put(out, 0x1a2b_3c4d); // the client's key
        put(out, if ask == Ask::Stopped { 0 } else { self.numwant });
        out.extend_from_slice(&session.port().to_be_bytes());
        self.url.clear();
        self.url.extend_from_slice(b"/announce/");
        self.url.extend_from_slice(self.spelled.key(session.member));
        put_url(out, &self.url);
    }
}

/// As BEP 15 numbers them.
fn event(ask: Ask) -> u32 {
    match ask {
        Ask::Completed => 1,
        Ask::Started => 2,
        Ask::Stopped => 3,
        Ask::Plain | Ask::Scrape => 0,
    }
}

/// BEP 41: URL data in options of 255 bytes at most, then the end of options.
pub(crate) fn put_url(out: &mut Vec<u8>, url: &[u8]) {
    for part in url.chunks(255) {
        out.extend_from_slice(&[2, part.len() as u8]);
        out.extend_from_slice(part);
    }
    out.push(0);
}

/// The sockets of a load, and its sessions.
#[derive(Debug)]
pub struct UdpLoad {
    requests: UdpRequests,
    poll: Poll,
    timer: Timer,
    doors: Vec<Door>,
    inbox: Inbox,
    outstanding: usize,
    failures: Failures,
    lost: u64,
}

/// A socket.
#[derive(Debug)]
struct Door {
    socket: UdpSocket,
    clients: Clients,
    id: u64,
    id_since: Instant,
    /// The connect that is out: its transaction, and when it was sent.
    connecting: Option<(u32, Instant)>,
    slots: Vec<Option<Out>>,
    free: Vec<u32>,
    serial: u32,
    outbox: Outbox,
    resent: bool,
}

/// A request that isn't answered yet.
#[derive(Clone, Copy, Debug)]
struct Out {
    transaction: u32,
    session: Session,
    ask: Ask,
    due: Instant,
    first_sent: Instant,
    sent: Instant,
    tries: u32,
}

impl UdpLoad {
    /// Opens a socket for each of the `clients`, and gets it a connection id.
    pub fn connect(
        server: SocketAddr,
        requests: UdpRequests,
        clients: Vec<Clients>,
        outstanding: usize,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(&poll)?;
        let mut doors = Vec::new();
        for (number, clients) in clients.into_iter().enumerate() {
            ensure!(!clients.is_empty(), "there are fewer sessions than sockets");
            let (socket, id) = dial(server)?;
            socket.set_nonblocking(true)?;
            let mut socket = UdpSocket::from_std(socket);
            poll.registry()
                .register(&mut socket, Token(number), Interest::READABLE)?;
            doors.push(Door {
                socket,
                clients,
                id,
                id_since: Instant::now(),
                connecting: None,
                slots: vec![None; outstanding],
                free: (0..outstanding as u32).collect(),
                serial: 0,
                outbox: Outbox::default(),
                resent: false,
            });
        }
        Ok(Self {
            requests,
            poll,
            timer,
            doors,
            inbox: Inbox::new(),
            outstanding,
            failures: Failures::default(),
            lost: 0,
        })
    }
}

impl Load for UdpLoad {
    fn sessions(&self) -> usize {
        self.doors.iter().map(|door| door.clients.len()).sum()
    }

    fn everybody_is_known(&mut self) {
        let doors = self.doors.iter_mut();
        doors.for_each(|door| door.clients.everybody_is_known());
    }

    fn failures(&mut self) -> &mut Failures {
        &mut self.failures
    }

    fn lost(&self) -> Option<u64> {
        Some(self.lost)
    }

    fn run(&mut self, phase: Phase, bar: &ProgressBar) -> Result<Done> {
        // A place in the queue for each request that may be out, the sockets in turn.
        let places = self.doors.len() * self.outstanding;
        let idle: VecDeque<_> = (0..places).map(|n| n % self.doors.len()).collect();
        let mut run = Run::new(phase, idle)?;
        let mut events = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            self.send_all(&mut run, now)?;
            if run.idle.len() == places && run.is_over(now) {
                return Ok(run.done());
            }
            if let Some(at) = run.wakes_at() {
                self.timer.set(at)?;
            }
            match self.poll.poll(&mut events, Some(NAP)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            for event in events.iter() {
                if event.token() != TIMER {
                    self.serve(event.token().0, &mut run)?;
                    self.send_all(&mut run, Instant::now())?;
                }
            }
            let now = Instant::now();
            if run.looks_around(now, bar) {
                self.look_after(&mut run, now)?;
            }
        }
    }
}

impl UdpLoad {
    /// Whoever is free says what is due.
    fn send_all(&mut self, run: &mut Run, now: Instant) -> Result<()> {
        for _ in 0..run.idle.len() {
            let Some(number) = run.idle.pop_front() else {
                break;
            };
            let door = &mut self.doors[number];
            match run.next(&mut door.clients, now) {
                Next::Say(session, ask, due) => {
                    let slot = door.free.pop().context("more places than requests")?;
                    let transaction = door.transaction(slot);
                    let out = Out {
                        transaction,
                        session,
                        ask,
                        due,
                        first_sent: now,
                        sent: now,
                        tries: 1,
                    };
                    door.put(slot, out, &mut self.requests);
                }
                Next::Done => run.idle.push_back(number),
                Next::Wait => {
                    run.idle.push_front(number);
                    break;
                }
            }
        }
        for number in 0..self.doors.len() {
            self.doors[number].flush(&mut self.failures);
        }
        self.give_up_if_hopeless()
    }

    /// Reads what has come to a socket.
    fn serve(&mut self, number: usize, run: &mut Run) -> Result<()> {
        loop {
            let door = &mut self.doors[number];
            match self.inbox.receive(&door.socket, MsgFlags::MSG_DONTWAIT) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The port is closed, as ICMP says; whatever was out will be missed.
                Err(error) => {
                    self.failures.add(format!("receive: {}", error.kind()));
                    return self.give_up_if_hopeless();
                }
            }
            let now = Instant::now();
            for at in 0..self.inbox.len() {
                let (packet, _) = self.inbox.packet(at);
                match door.hear(packet, now) {
                    Ok(Some((out, reply))) => {
                        let (latency, service) = (now - out.due, now - out.first_sent);
                        run.tally.add(out.ask, reply, latency, service);
                        run.idle.push_back(number);
                    }
                    Ok(None) => {}
                    Err((fault, frees)) => {
                        self.failures.add(fault);
                        if frees {
                            run.idle.push_back(number);
                        }
                    }
                }
            }
            if self.inbox.len() < BATCH {
                return self.give_up_if_hopeless();
            }
        }
    }

    /// Sends again what may be lost, and asks for a new connection id in time.
    fn look_after(&mut self, run: &mut Run, now: Instant) -> Result<()> {
        for (number, door) in self.doors.iter_mut().enumerate() {
            for slot in 0..door.slots.len() as u32 {
                let Some(mut out) = door.slots[slot as usize] else {
                    continue;
                };
                if now.saturating_duration_since(out.sent) < RESEND {
                    continue;
                }
                self.lost += 1;
                door.resent = true;
                if out.tries == TRIES {
                    self.failures.add(format!("no reply to {TRIES} packets"));
                    door.release(slot);
                    run.idle.push_back(number);
                    continue;
                }
                out.transaction = door.transaction(slot);
                out.sent = now;
                out.tries += 1;
                door.put(slot, out, &mut self.requests);
            }
            door.renew(now);
            door.flush(&mut self.failures);
        }
        self.give_up_if_hopeless()
    }

    fn give_up_if_hopeless(&self) -> Result<()> {
        ensure!(
            self.failures.total() <= FAILURES_MAX,
            "more than {FAILURES_MAX} failures: {:?}",
            self.failures.by_reason()
        );
        Ok(())
    }
}

impl Door {
    fn transaction(&mut self, slot: u32) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial.wrapping_mul(SLOTS).wrapping_add(slot)
    }

    fn put(&mut self, slot: u32, out: Out, requests: &mut UdpRequests) {
        let bytes = &mut self.outbox.bytes;
        requests.write(bytes, &out.session, out.ask, self.id, out.transaction);
        self.outbox.finish(None);
        self.slots[slot as usize] = Some(out);
    }

    fn release(&mut self, slot: u32) {
        self.slots[slot as usize] = None;
        self.free.push(slot);
    }

    fn flush(&mut self, failures: &mut Failures) {
        if self.outbox.len() == 0 {
            return;
        }
        // What there was no room for counts as lost, and is sent again.
        if let Err(error) = self.outbox.send(&self.socket) {
            failures.add(format!("send: {}", error.kind()));
        }
    }

    /// The old id holds until the new one is there.
    fn renew(&mut self, now: Instant) {
        let waits = |(_, sent): (u32, Instant)| now.saturating_duration_since(sent) < RESEND;
        if now.saturating_duration_since(self.id_since) < REFRESH
            || self.connecting.is_some_and(waits)
        {
            return;
        }
        let transaction = self.transaction(CONNECTING);
        put_connect(&mut self.outbox.bytes, transaction);
        self.outbox.finish(None);
        self.connecting = Some((transaction, now));
    }

    /// A packet that came: the reply to something, or a fault and whether a request is done with it.
    fn hear(&mut self, packet: &[u8], now: Instant) -> Result<Option<(Out, Reply)>, (Fault, bool)> {
        let Some((action, transaction, rest)) = head(packet) else {
            return Err((Fault::Framing("a packet without a head"), false));
        };
        if self.connecting.is_some_and(|(sent, _)| sent == transaction) {
            let Some(id) = rest.first_chunk().filter(|_| action == CONNECT) else {
                return Err((Fault::Framing("no answer to a connect"), false));
            };
            (self.id, self.id_since) = (u64::from_be_bytes(*id), now);
            self.connecting = None;
            return Ok(None);
        }
        let slot = transaction % SLOTS;
        let out = self.slots.get(slot as usize).copied().flatten();
        let Some(out) = out.filter(|out| out.transaction == transaction) else {
            // The first of two packets was late rather than lost.
            return match self.resent {
                true => Ok(None),
                false => Err((Fault::Framing("a transaction that nobody began"), false)),
            };
        };
        self.release(slot);
        match check(action, rest, out.ask) {
            Ok(peers) => Ok(Some((
                out,
                Reply {
                    peers,
                    body: packet.len(),
                    whole: packet.len(),
                },
            ))),
            Err(fault) => Err((fault, true)),
        }
    }
}

fn head(packet: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (action, rest) = packet.split_first_chunk()?;
    let (transaction, rest) = rest.split_first_chunk()?;
    let number = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
    Some((number(action), number(transaction), rest))
}

/// How many peers it names.
fn check(action: u32, rest: &[u8], ask: Ask) -> Result<usize, Fault> {
    match (action, ask) {
        (ERROR, _) => Err(Fault::Failure(String::from_utf8_lossy(rest).into_owned())),
        (SCRAPE, Ask::Scrape) if rest.len() == 12 => Ok(0),
        (_, Ask::Scrape) => Err(Fault::Body("not the one torrent that was asked for")),
        (ANNOUNCE, _) if rest.len() < 12 => Err(Fault::Body("no interval and counts")),
        (ANNOUNCE, _) if !(rest.len() - 12).is_multiple_of(6) => {
            Err(Fault::Body("peers aren't six bytes each"))
        }
        (ANNOUNCE, _) => Ok((rest.len() - 12) / 6),
        _ => Err(Fault::Framing("another action")),
    }
}

pub(crate) fn put_connect(out: &mut Vec<u8>, transaction: u32) {
    out.extend_from_slice(&PROTOCOL.to_be_bytes());
    out.extend_from_slice(&CONNECT.to_be_bytes());
    out.extend_from_slice(&transaction.to_be_bytes());
}

/// A socket that talks to the server alone, and its connection id.
pub(crate) fn dial(server: SocketAddr) -> Result<(StdUdpSocket, u64)> {
    ensure!(server.is_ipv4(), "over UDP, IPv4 alone");
    let socket = StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(RESEND))?;
    let mut buffer = [0; 64];
    for transaction in 1..=TRIES {
        let mut packet = Vec::new();
        put_connect(&mut packet, transaction);
        socket.send(&packet)?;
        let Ok(length) = socket.recv(&mut buffer) else {
            continue;
        };
        match head(&buffer[..length]) {
            Some((CONNECT, answered, rest)) if answered == transaction => {
                let id = rest.first_chunk().context("a connect without an id")?;
                return Ok((socket, u64::from_be_bytes(*id)));
            }
            _ => bail!("{server} answers a connect with something else"),
        }
    }
    bail!("{server} doesn't answer a connect")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_url_is_split() {
        let mut out = Vec::new();
        put_url(&mut out, &[b'x'; 300]);
        assert_eq!(out.len(), 2 + 255 + 2 + 45 + 1);
        assert_eq!((&out[..2], &out[257..259]), (&[2, 255][..], &[2, 45][..]));
        assert_eq!(out.last(), Some(&0));
    }

    #[test]
    fn nonsense_is_named() {
        for (action, rest, fault) in [
            (3, &b"no"[..], "failure reason: no"),
            (1, &[0; 11], "body: no interval and counts"),
            (1, &[0; 17], "body: peers aren't six bytes each"),
            (2, &[0; 12], "framing: another action"),
        ] {
            let found = check(action, rest, Ask::Plain).map_err(|fault| fault.to_string());
            assert_eq!(found, Err(fault.to_owned()));
        }
        assert_eq!(check(1, &[0; 24], Ask::Plain), Ok(2));
    }
}
