//! What is acknowledged is in the journal first; here the test plays the journal.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracker_core::outbox::{Pressure, Round};
use tracker_core::record::Event;
use tracker_core::refusal::Refusal;
use tracker_core::settings::Settings;

use crate::support::*;

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

/// The next record that arrives, and the round it came in.
fn next(site: &Site) -> (Event, Round) {
    let outbox = &site.tracker.outbox;
    loop {
        outbox.wait(Duration::ZERO, Instant::now() + PATIENCE);
        let mut event = None;
        let round = outbox.drain(&mut Vec::new(), |record| event = Some(record.event));
        if let Some(event) = event {
            return (event, round);
        }
    }
}

fn busy() -> String {
    failure(&Refusal::Busy.to_string(), "i5e")
}

fn send(site: &Site, user: u32, event: &str) -> Client {
    let mut client = site.connect();
    let (key, query) = (key(user), query(V1, user));
    client.send(format!(
        "GET /announce/{key}?{query}&event={event} HTTP/1.1\r\n\r\n"
    ));
    client
}

#[test]
fn event_is_answered_once_its_record_is_in_the_journal() {
    let site = site();
    for (name, event) in [
        ("started", Event::Started),
        ("completed", Event::Completed),
        ("stopped", Event::Stopped),
    ] {
        let mut client = send(&site, 1, name);
        let (seen, round) = next(&site);
        assert_eq!(seen, event);
        // The round before is none of its business.
        site.tracker.outbox.done(Round(round.0 - 1));
        assert!(client.has_no_reply_yet(), "{name}");
        site.tracker.outbox.done(round);
        assert!(client.reply().text().starts_with("d8:complete"), "{name}");
    }
}

#[test]
fn regular_announce_is_not_held_back() {
    let site = site();
    assert!(site.announce(1, &query(V1, 1)).starts_with("d8:complete"));
    assert_eq!(next(&site).0, Event::None);
}

#[test]
fn event_that_can_not_be_journalled_is_not_acknowledged() {
    let site = site();
    let mut waiting = send(&site, 1, "started");
    let (_, round) = next(&site);
    site.tracker.outbox.set_pressure(Pressure::Broken);
    assert_eq!(waiting.reply().text(), busy());

    // A new session changes nothing; a last word is taken, and not acknowledged; regular announces go on.
    assert_eq!(site.announce(2, &(query(V1, 2) + "&event=started")), busy());
    assert_eq!(site.announce(1, &(query(V1, 1) + "&event=stopped")), busy());
    assert!(site.announce(2, &query(V1, 2)).starts_with("d8:complete"));
    let events: Vec<_> = site.records().iter().map(|record| record.event).collect();
    assert_eq!(events, [Event::Stopped, Event::None]);

    site.tracker.outbox.set_pressure(Pressure::Free);
    let mut again = send(&site, 1, "stopped");
    assert!(next(&site).1 > round);
    site.tracker.outbox.done(Round(u64::MAX));
    assert!(again.reply().text().starts_with("d8:complete"));
}

#[test]
fn journal_short_of_room_sheds_what_says_nothing_new_then_all_but_last_words() {
    let site = site();
    site.tracker.outbox.done(Round(u64::MAX));
    let counted = |uploaded: u32, event: &str| {
        let query = query(V1, 1).replace("uploaded=0", &format!("uploaded={uploaded}"));
        let reply = site.announce(1, &(query + event));
        (reply, site.records().len())
    };
    counted(0, "");
    site.tracker.outbox.set_pressure(Pressure::Tight);
    let (reply, records) = counted(0, "");
    assert!(reply.starts_with("d8:complete"), "{reply}");
    assert_eq!(records, 0, "it says nothing new");
    assert_eq!(counted(5, "").1, 1);
    assert_eq!(counted(5, "&event=started").1, 1);

    site.tracker.outbox.set_pressure(Pressure::Full);
    assert_eq!(counted(6, ""), (busy(), 0));
    assert_eq!(counted(6, "&event=started"), (busy(), 0));
    assert_eq!(counted(6, "&event=completed").1, 1);
    assert_eq!(counted(6, "&event=stopped").1, 1);
}

/// A worker that stops waits for the journal too: a promise under way is kept.
#[test]
fn stopping_waits_for_the_journal() {
    let site = site();
    let client = send(&site, 1, "stopped");
    let (_, round) = next(&site);
    let tracker = std::sync::Arc::clone(&site.tracker);
    let stopping = std::thread::spawn(move || site.stop());
    // Closed, the listener says that the workers are draining.
    while Client::try_to(client.server()).is_some() {
        std::thread::yield_now();
    }
    assert!(client.has_no_reply_yet());
    tracker.outbox.done(round);
    let reply = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(reply.contains("d8:complete"), "{reply}");
    stopping.join().unwrap();
}

/// Requests without a key that come without a pause: workers have no moment of rest, and ring all the same.
#[test]
fn flood_of_nonsense_does_not_keep_the_journal_asleep() {
    let site = site();
    let over = AtomicBool::new(false);
    let flood = || {
        let mut socket = TcpStream::connect(site.v4()).unwrap();
        let requests = "GET /x HTTP/1.1\r\n\r\n".repeat(200);
        let mut replies = [0; 65536];
        let mut reader = socket.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || while reader.read(&mut replies).is_ok_and(|read| read > 0) {});
            while !over.load(Relaxed) {
                socket.write_all(requests.as_bytes()).unwrap();
            }
            socket.shutdown(Shutdown::Both).unwrap();
        });
    };
    std::thread::scope(|scope| {
        (0..6).for_each(|_| drop(scope.spawn(flood)));
        let rung = (0..20).all(|_| {
            let mut client = send(&site, 1, "started");
            let deadline = Instant::now() + PATIENCE;
            site.tracker.outbox.wait(Duration::ZERO, deadline);
            let rung = Instant::now() < deadline;
            let round = site.tracker.outbox.drain(&mut Vec::new(), |_| {});
            site.tracker.outbox.done(round);
            rung && client.reply().text().starts_with("d8:complete")
        });
        over.store(true, Relaxed);
        assert!(rung);
    });
}
