//! Any packet is a request (BEP 15) or junk, and any announce among them has right values or is refused.
#![no_main]

use tracker_core::udp::{Action, AnnounceRequest, Request};

libfuzzer_sys::fuzz_target!(|packet: &[u8]| {
    let Ok(request) = Request::read(packet) else {
        return;
    };
    assert_eq!(request.transaction.0, packet[12..16]);
    if let Action::Announce { fields, options } = request.action {
        let mut url = Vec::new();
        if let Ok(AnnounceRequest { announce, .. }) =
            AnnounceRequest::parse(fields, options, &mut url)
        {
            assert_ne!(announce.port, 0);
            let counters = announce.counters;
            let numbers = [counters.uploaded, counters.downloaded, announce.left];
            assert!(numbers.iter().all(|number| i64::try_from(*number).is_ok()));
            assert!(announce.key.is_none_or(|key| key.len() <= options.len()));
        }
        assert!(url.len() <= options.len());
    }
});
