//! Names, and other things that people choose: what is right, in one place for commands and routes.

/// Whether somebody may be called so: fit for a URL, a log line and a table. ASCII alone, so that no two names look alike.
///
/// # Errors
///
/// What would be right.
pub fn check(name: &str) -> Result<(), &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    match (3..=32).contains(&name.len()) && name.bytes().all(fits) {
        true => Ok(()),
        false => Err("a username is 3 to 32 letters, digits, `_`, `-` or `.`"),
    }
}

/// Whether it can be an email address. Whether it is one, only a mail can tell.
pub(crate) fn check_email(address: &str) -> Result<(), &'static str> {
    let fits = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| !c.is_control() && !c.is_whitespace() && !"@<>,;\"".contains(c))
    };
    let is_one = address.len() <= 254
        && address
            .rsplit_once('@')
            .is_some_and(|(name, host)| fits(name) && fits(host));
    match is_one {
        true => Ok(()),
        false => Err("an email address of at most 254 bytes"),
    }
}

/// Why somebody did something: a line that others read.
pub(crate) fn check_reason(reason: &str) -> Result<(), &'static str> {
    let is_one = !reason.trim().is_empty()
        && reason.chars().count() <= 500
        && !reason.chars().any(char::is_control);
    match is_one {
        true => Ok(()),
        false => Err("a line of at most 500 characters, and not an empty one"),
    }
}

/// What somebody calls a thing of theirs.
pub(crate) fn check_label(label: &str) -> Result<(), &'static str> {
    match label.chars().count() <= 64 && !label.chars().any(char::is_control) {
        true => Ok(()),
        false => Err("at most 64 characters, none of them a control character"),
    }
}

/// What people call a torrent.
pub(crate) fn check_title(name: &str) -> Result<(), &'static str> {
    let is_one = (1..=255).contains(&name.chars().count())
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control);
    match is_one {
        true => Ok(()),
        false => {
            Err("1 to 255 characters, not all of them spaces, and none of them a control character")
        }
    }
}

/// What somebody says of a torrent: text in lines.
pub(crate) fn check_description(text: &str) -> Result<(), &'static str> {
    let fits = |c: char| !c.is_control() || "\n\r\t".contains(c);
    match text.chars().count() <= 20_000 && text.chars().all(fits) {
        true => Ok(()),
        false => {
            Err("at most 20000 characters, none of them a control character but tabs and line ends")
        }
    }
}
