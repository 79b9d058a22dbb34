//! Any bytes are bencode or aren't; what is has no end of values in it, and none is longer than its input.
#![no_main]

use tracker_core::bencode::{Value, parse};

fn visit(value: Value<'_>) -> usize {
    let inner: usize = match (value.list(), value.dict()) {
        (Some(items), _) => items.map(visit).sum(),
        (_, Some(dict)) => dict
            .iter()
            .map(|(key, value)| key.len() + visit(value))
            .sum(),
        _ => value
            .int()
            .map(|_| 3)
            .or(value.bytes().map(<[u8]>::len))
            .expect("one of the four kinds"),
    };
    assert!(inner <= value.raw().len());
    inner
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = parse(input).map(visit);
});
