//! Any bytes are a .torrent or aren't; a member's copy of one that is reads the same.
#![no_main]

use tracker_core::metainfo::{Metainfo, for_member};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(read) = Metainfo::parse(input) {
        let copy = for_member(input, "http://tracker.test/announce").expect("it was read");
        assert_eq!(Metainfo::parse(&copy), Ok(read));
    }
});
