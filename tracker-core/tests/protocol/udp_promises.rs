//! What is acknowledged over UDP is in the journal first; here the test plays the journal.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracker_core::outbox::{Pressure, Round};
use tracker_core::record::Event;
use tracker_core::settings::Settings;

use crate::support::*;
use crate::udp_client::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A site whose journal is this thread.
fn site() -> Site {
    let site = Site::new(Settings {
        min_interval_secs: 0,
        ..Settings::default()
    });
    site.tracker.outbox.attach_journal();
    site
}

/// Takes so many records out, and returns the last's event and round.
fn take(site: &Site, count: usize) -> (Event, Round) {
    let (mut taken, mut last) = (0, None);
    let deadline = Instant::now() + PATIENCE;
    while taken < count {
        assert!(Instant::now() < deadline, "{taken} of {count}");
        site.tracker.outbox.wait(Duration::ZERO, deadline);
        let mut event = None;
        let round = site.tracker.outbox.drain(&mut Vec::new(), |record| {
            taken += 1;
            event = Some(record.event);
        });
        last = event.map(|event| (event, round)).or(last);
    }
    last.unwrap()
}

const BUSY: &str = "the tracker is busy, try again in a few minutes";

#[test]
fn event_is_answered_once_its_record_is_in_the_journal() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    for (number, event) in [
        (STARTED, Event::Started),
        (COMPLETED, Event::Completed),
        (STOPPED, Event::Stopped),
    ] {
        client.send(&announce(V1, 1).event(number).packet(client.id));
        let (seen, round) = take(&site, 1);
        assert_eq!(seen, event);
        // The round before is none of its business; whoever comes meanwhile isn't held up.
        site.tracker.outbox.done(Round(round.0 - 1));
        assert_eq!(client.answers(), <[Vec<u8>; 0]>::default(), "{event:?}");
        site.tracker.outbox.done(round);
        let reply = client.receive();
        assert_eq!(reply[..8], *b"\0\0\0\x01anno", "{event:?}");
        assert_eq!(reply.len(), 20);
    }
}

#[test]
fn regular_announce_is_not_held_back() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    assert!(
        client
            .announce(&announce(V1, 1))
            .starts_with("\\x00\\x00\\x00\\x01")
    );
    assert!(
        client
            .announce(&announce(V1, 1).event(PAUSED))
            .starts_with("\\x00\\x00\\x00\\x01")
    );
    assert_eq!(take(&site, 2).0, Event::Paused);
}

#[test]
fn event_that_can_not_be_journalled_is_an_error() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    client.send(&announce(V1, 1).event(STARTED).packet(client.id));
    take(&site, 1);
    site.tracker.outbox.set_pressure(Pressure::Broken);
    assert_eq!(
        client.receive().escape_ascii().to_string(),
        error("anno", BUSY)
    );
    // Nothing new is begun, and last words are taken without a promise.
    assert_eq!(
        client.announce(&announce(V1, 2).event(STARTED)),
        error("anno", BUSY)
    );
    assert_eq!(
        client.announce(&announce(V1, 1).event(STOPPED)),
        error("anno", BUSY)
    );
    assert_eq!(take(&site, 1).0, Event::Stopped);
    site.tracker.outbox.set_pressure(Pressure::Free);
    client.send(&announce(V1, 1).event(STOPPED).packet(client.id));
    take(&site, 1);
    site.tracker.outbox.done(Round(u64::MAX));
    assert_eq!(client.receive().len(), 20);
}

/// Each client gets its own answer, whatever else was in its batch.
#[test]
fn promises_of_many_clients_find_their_way() {
    let site = site();
    let clients: Vec<_> = (0..40).map(|_| UdpClient::to(site.udp4())).collect();
    for (user, client) in (1..=9).cycle().zip(&clients) {
        client.send(&announce(V1, user).event(STARTED).packet(client.id));
        client.send(&announce(V1, user).packet(client.id));
    }
    take(&site, 80);
    for client in &clients {
        assert!(client.receive().len() >= 20, "the regular announce's");
        assert!(client.has_no_reply_yet());
    }
    site.tracker.outbox.done(Round(u64::MAX));
    for client in &clients {
        assert_eq!(client.receive()[..8], *b"\0\0\0\x01anno");
        assert!(client.has_no_reply_yet());
    }
}

/// Memory is bounded: a client without an answer asks again.
#[test]
fn promises_beyond_the_limit_get_no_answer() {
    const LIMIT: usize = 4096;
    let site = site();
    let client = UdpClient::to(site.udp4());
    let mut packet = announce(V1, 1).event(STARTED).packet(client.id);
    let mut send = |numbers: std::ops::Range<usize>| {
        for number in numbers.clone() {
            packet[12..16].copy_from_slice(&(number as u32).to_be_bytes());
            client.send(&packet);
        }
        take(&site, numbers.len()).1
    };
    let rounds: Vec<_> = (0..LIMIT / 64)
        .map(|step| send(step * 64..step * 64 + 64))
        .collect();
    let beyond = send(LIMIT..LIMIT + 50);
    assert!(client.has_no_reply_yet());
    let mut answered = HashSet::new();
    for round in rounds {
        site.tracker.outbox.done(round);
        answered.extend((0..64).map(|_| client.receive()[4..8].to_vec()));
    }
    assert_eq!(answered.len(), LIMIT);
    site.tracker.outbox.done(beyond);
    assert_eq!(client.answers(), <[Vec<u8>; 0]>::default());
    // There is room again.
    let round = send(0..1);
    site.tracker.outbox.done(round);
    assert_eq!(client.receive()[..8], [0, 0, 0, 1, 0, 0, 0, 0]);
}

/// A worker that stops waits for the journal too.
#[test]
fn stopping_keeps_promises() {
    let site = site();
    let client = UdpClient::to(site.udp4());
    client.send(&announce(V1, 1).event(STOPPED).packet(client.id));
    let (_, round) = take(&site, 1);
    let (tracker, http) = (Arc::clone(&site.tracker), site.v4());
    let stopping = std::thread::spawn(move || site.stop());
    // Closed, the HTTP listener says that the workers are draining.
    while Client::try_to(http).is_some() {
        std::thread::yield_now();
    }
    assert!(client.has_no_reply_yet());
    tracker.outbox.done(round);
    assert_eq!(client.receive().len(), 20);
    stopping.join().unwrap();
}
