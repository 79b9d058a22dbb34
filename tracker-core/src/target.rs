//! The path of an announce URL: which of its forms it has, and the key in it.

/// What a path asks for, with the key that stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Announce(Option<&'a [u8]>),
    Scrape(Option<&'a [u8]>),
}

/// `/announce/{key}`, `/{key}/announce` or `/announce` (its key is in the query), and the same with `scrape`.
pub(crate) fn target(path: &[u8]) -> Option<Target<'_>> {
    let path = path.strip_prefix(b"/")?;
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let (first, second) = match memchr::memchr(b'/', path) {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    };
    match (first, second) {
        (b"announce", key) => Some(Target::Announce(key)),
        (b"scrape", key) => Some(Target::Scrape(key)),
        (key, Some(b"announce")) => Some(Target::Announce(Some(key))),
        (key, Some(b"scrape")) => Some(Target::Scrape(Some(key))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_forms_are_told_apart() {
        let table: [(&str, Option<Target>); 12] = [
            ("/announce/KEY", Some(Target::Announce(Some(b"KEY")))),
            ("/announce/KEY/", Some(Target::Announce(Some(b"KEY")))),
            ("/KEY/announce", Some(Target::Announce(Some(b"KEY")))),
            ("/KEY/announce/", Some(Target::Announce(Some(b"KEY")))),
            ("/announce", Some(Target::Announce(None))),
            ("/announce/", Some(Target::Announce(None))),
            ("/scrape/KEY", Some(Target::Scrape(Some(b"KEY")))),
            ("/KEY/scrape", Some(Target::Scrape(Some(b"KEY")))),
            ("/scrape", Some(Target::Scrape(None))),
            ("/", None),
            ("/favicon.ico", None),
            ("/KEY/stats", None),
        ];
        for (path, expected) in table {
            assert_eq!(target(path.as_bytes()), expected, "{path}");
        }
    }
}
