//! What entries of traffic and seeding say, for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `12.3 GiB`, rounded down.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = None;
    let (mut whole, mut tenths) = (bytes, 0);
    for name in UNITS {
        if whole < 1024 {
            break;
        }
        tenths = whole % 1024 * 10 / 1024;
        (whole, unit) = (whole / 1024, Some(name));
    }
    match unit {
        None => format!("{bytes} bytes"),
        Some(unit) => format!("{whole}.{tenths} {unit}"),
    }
}

/// `5 torrents`.
pub(crate) fn torrents(count: u64) -> String {
    match count {
        1 => "1 torrent".to_owned(),
        _ => format!("{count} torrents"),
    }
}

/// `2026-11-24 18:00–19:00 UTC`, of hours since 1970.
pub(crate) fn hour(hour: i64) -> String {
    let begin = Timestamp::from_second(hour.saturating_mul(3600)).unwrap_or_default();
    let begin = begin.to_zoned(TimeZone::UTC);
    let end = (begin.hour() + 1) % 24;
    format!("{} {:02}:00–{end:02}:00 UTC", begin.date(), begin.hour())
}

/// `2026-11-24 18:05 UTC`, of seconds since 1970.
pub(crate) fn minute(at: i64) -> String {
    let at = Timestamp::from_second(at).unwrap_or_default();
    let at = at.to_zoned(TimeZone::UTC);
    format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_people_write_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            ((124 << 30) / 10, "12.3 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn hours_have_a_beginning_and_an_end() {
        assert_eq!(hour(498_762), "2026-11-24 18:00–19:00 UTC");
        assert_eq!(hour(498_767), "2026-11-24 23:00–00:00 UTC");
        assert_eq!(hour(0), "1970-01-01 00:00–01:00 UTC");
    }
}
