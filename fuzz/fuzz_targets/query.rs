//! Any query string is an announce and a scrape, or is refused.
#![no_main]

use tracker_core::query::{Announce, key, scrape_hashes};

libfuzzer_sys::fuzz_target!(|query: &[u8]| {
    if let Ok(announce) = Announce::parse(query) {
        assert_eq!(announce.key, key(query));
        assert_eq!(scrape_hashes(query).next(), Some(Ok(announce.info_hash)));
    }
    scrape_hashes(query).for_each(drop);
});
