//! What members are told, as mail: what it looks like, and how a mail server takes it.
//!
//! What a server answers may have members' addresses in it, or the operator's login: only its code gets further than this.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use store::{DueMail, NotificationKind};
use tokio::time::timeout;
use tracker_core::ids::UnixTime;

use crate::config::Config;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// For one mail, from greeting to goodbye: some servers look at a mail for a while before they take it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whom mails are from, and who takes them.
pub(crate) struct Mailer {
    transport: Transport,
    from: Mailbox,
    /// Where members find the API; empty: they know.
    public_url: String,
}

/// Why a mail wasn't taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It never will be.
    ForGood(String),
    /// It may be later. Others can be tried now.
    ForNow(String),
    /// It is not about this one mail: no other would be taken.
    Server(String),
}

/// Whether a mail server can be reached so.
pub(crate) fn is_smtp_url(url: &str) -> bool {
    transport(url).is_ok()
}

/// Whom mails are from: an address, perhaps with a name.
pub(crate) fn sender(text: &str) -> Option<Mailbox> {
    let is_line = !text.chars().any(char::is_control);
    text.parse().ok().filter(|_| is_line)
}

fn transport(url: &str) -> Result<Transport> {
    let (_, rest) = url.split_once("://").context("no scheme")?;
    let place = rest.split(['/', '?']).next().unwrap_or_default();
    let (login, host) = place.rsplit_once('@').unzip();
    // Half a login would be left out without a word.
    let is_whole = |login: &str| {
        login
            .split_once(':')
            .is_some_and(|(user, password)| !user.is_empty() && !password.is_empty())
    };
    ensure!(login.is_none_or(is_whole), "half a login");
    ensure!(!host.unwrap_or(place).is_empty(), "no host");
    let builder = Transport::from_url(url).map_err(|_| anyhow!("not an SMTP URL"))?;
    Ok(builder.build())
}

impl Mailer {
    /// `None`: the operator wants no mail.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>> {
        if config.mail.smtp_url.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            transport: transport(config.mail.smtp_url.expose()).context("mail.smtp_url")?,
            from: sender(&config.mail.from).context("mail.from is not an address")?,
            public_url: config.api.public_url.trim_end_matches('/').to_owned(),
        }))
    }

    /// Greets the mail server, and logs in: nobody's mail is refused for what is wrong with that.
    pub(crate) async fn check(&self) -> Result<()> {
        let tried = timeout(PATIENCE, self.transport.test_connection()).await;
        let answers = tried
            .map_err(|_| anyhow!("the mail server doesn't answer"))?
            .map_err(|error| anyhow!(shown(&error)))?;
        ensure!(answers, "the mail server has hung up");
        Ok(())
    }

    /// Once this is done, the mail server has it.
    pub(crate) async fn send(&self, mail: &DueMail, now: UnixTime) -> Result<(), Failure> {
        let message = self.message(mail, now)?;
        match timeout(PATIENCE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(Failure::Server("the mail server doesn't answer".to_owned())),
        }
    }

    /// What mails call the site.
    fn site(&self) -> &str {
        let name = self.from.name.as_deref().unwrap_or_default().trim();
        match name.is_empty() {
            true => self.from.email.domain(),
            false => name,
        }
    }

    /// What members wrote, or others wrote about, is in the text alone, and never in a header but for the address, which has
    /// to be one.
    fn message(&self, mail: &DueMail, now: UnixTime) -> Result<Message, Failure> {
        let to: Address = mail
            .email
            .parse()
            .map_err(|_| Failure::ForGood("it isn't an email address".to_owned()))?;
        let about = match mail.kind {
            NotificationKind::Class => "your class",
            NotificationKind::Ratio => "your ratio",
            NotificationKind::HitAndRun => "your hit-and-runs",
            _ => "your account",
        };
        let site = self.site();
        let place = match self.public_url.is_empty() {
            true => String::new(),
            false => format!("\n{}", self.public_url),
        };
        let text = format!(
            "Hello {},\n\n{}.\n\n-- \n{site}{place}\nNo more of these: PATCH {}/api/user/profile/ with {{\"mail\": false}}\n",
            mail.username, mail.message, self.public_url
        );
        // The same at each try, so that whoever gets it twice sees it once.
        let id = format!(
            "<purser-{}-{}@{}>",
            mail.id,
            mail.created_at.0,
            self.from.email.domain()
        );
        let date = std::time::UNIX_EPOCH + Duration::from_secs(now.0.into());
        let by_machine = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        Message::builder()
            .from(self.from.clone())
            .to(to.into())
            .subject(format!("{site}: {about}"))
            .date(date)
            .message_id(Some(id))
            .raw_header(by_machine)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| Failure::ForGood(error.to_string()))
    }
}

/// RFC 5321, section 4.2.1, and for logins RFC 4954, section 6.
fn failure(error: &Error) -> Failure {
    let why = shown(error);
    match error.status().map(u16::from) {
        // It closes; it wants a login, or another.
        Some(421 | 530 | 534 | 535 | 538) => Failure::Server(why),
        Some(code) if code >= 500 => Failure::ForGood(why),
        Some(_) => Failure::ForNow(why),
        // The address isn't ASCII, and the server takes no others.
        None if error.is_client() => Failure::ForGood(why),
        None => Failure::Server(why),
    }
}

fn shown(error: &Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None => format!("the mail server: {error}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use store::{DueMail, NotificationKind};
    use tracker_core::ids::{UnixTime, UserId};

    use super::{Failure, Mailer, is_smtp_url, sender, transport};

    #[test]
    fn a_mail_server_in_its_usual_forms() {
        let table = [
            ("smtp://localhost", true),
            ("smtp://[::1]:2525/tracker.example.org", true),
            ("smtp://ann:p%40ss@mail.example.org:587?tls=required", true),
            ("smtp://mail.example.org?tls=opportunistic", true),
            ("smtps://ann:pass@mail.example.org", true),
            ("", false),
            ("mail.example.org:25", false),
            ("smtp:mail.example.org", false),
            ("smtp://", false),
            ("smtp:///name", false),
            ("smtp://:25", false),
            ("smtp://ann:pass@", false),
            ("smtp://mail.example.org:x", false),
            ("smtp://mail.example.org?tls=yes", false),
            ("http://mail.example.org", false),
            ("smtps://ann@mail.example.org", false),
            ("smtps://ann:@mail.example.org", false),
            ("smtps://:pass@mail.example.org", false),
        ];
        for (url, is_one) in table {
            assert_eq!(is_smtp_url(url), is_one, "{url}");
        }
    }

    #[test]
    fn a_sender_is_one_address_in_one_line() {
        let table = [
            ("tracker@example.org", true),
            ("Example Tracker <tracker@example.org>", true),
            ("", false),
            ("tracker", false),
            ("a@example.org, b@example.org", false),
            ("Example\r\nBcc: b@example.org <a@example.org>", false),
            ("\"Example\nTracker\" <a@example.org>", false),
        ];
        for (text, is_one) in table {
            assert_eq!(sender(text).is_some(), is_one, "{text}");
        }
    }

    fn mailer(from: &str, public_url: &str) -> Mailer {
        Mailer {
            transport: transport("smtp://localhost").unwrap(),
            from: sender(from).unwrap(),
            public_url: public_url.to_owned(),
        }
    }

    fn mail(username: &str, email: &str) -> DueMail {
        DueMail {
            id: 7,
            user: UserId(3),
            username: username.to_owned(),
            email: email.to_owned(),
            kind: NotificationKind::Ratio,
            message: "your ratio is low\r\n.\r\nQUIT\r\n".to_owned(),
            created_at: UnixTime(1_800_000_000),
        }
    }

    #[test]
    fn what_members_write_never_gets_into_a_header() {
        let mailer = mailer("Öl <tracker@example.org>", "https://api.example.org");
        let evil = "ann\r\nBcc: all@example.org\r\n\r\nhello";
        let message = mailer.message(&mail(evil, "ann@example.org"), UnixTime(1_800_000_060));
        let message = message.unwrap();
        let to: Vec<_> = message
            .envelope()
            .to()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(to, ["ann@example.org"]);
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut names: Vec<_> = head
            .split("\r\n")
            .map(|line| line.split(':').next().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "Auto-Submitted",
                "Content-Transfer-Encoding",
                "Content-Type",
                "Date",
                "From",
                "Message-ID",
                "Subject",
                "To"
            ]
        );
        assert!(head.contains("Message-ID: <purser-7-1800000000@example.org>"));
        assert!(head.contains("Date: Fri, 15 Jan 2027 08:01:00 +0000"));
        assert!(body.contains("PATCH https://api.example.org/api/user/profile/"));
        for email in [
            "ann@example.org\r\nBcc: all@example.org",
            "ann@example.org>\r\nRCPT TO:<all@example.org",
            "ann@example.org, all@example.org",
            "ann",
        ] {
            let made = mailer.message(&mail("ann", email), UnixTime(1));
            assert!(matches!(made, Err(Failure::ForGood(_))), "{email}");
        }
    }
}
