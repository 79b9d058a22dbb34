//! What members are told comes to them by mail, too: through a real mail server (aiosmtpd).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::people::{Caller, Club};
use crate::site::{Database, Site, until};

on_both_databases!(
    a_low_ratio_is_mailed_once,
    while_the_server_is_down_nothing_is_lost,
    what_is_refused_for_now_is_tried_again_after_the_others,
    what_is_refused_for_good_is_given_up_and_logged,
    after_a_day_a_mail_is_given_up,
    a_server_that_wants_none_costs_no_mail,
    a_wrong_login_costs_no_mail,
    nobody_gets_mail_who_turned_it_off_or_cannot_have_any,
    what_does_not_matter_is_not_mailed,
    nothing_from_a_name_or_an_address_gets_into_a_header,
    without_a_server_there_is_no_mail,
    a_member_says_whether_they_want_mail,
);

const GIB: u64 = 1 << 30;
const FROM: &str = "Example Tracker <tracker@example.org>";

fn settings(smtp_url: &str) -> [(&str, &str); 3] {
    [
        ("PURSER__MAIL__SMTP_URL", smtp_url),
        ("PURSER__MAIL__FROM", FROM),
        ("PURSER__API__PUBLIC_URL", "https://api.example.org/"),
    ]
}

/// A mail server and what it has taken. It ends with the test.
struct MailServer {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl MailServer {
    fn start(site: &Site) -> Self {
        Self::start_with(&site.path().join("mails"), "0", &[])
    }

    fn start_with(folder: &Path, port: &str, login: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/smtp_server.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(folder)
            .arg(port)
            .args(login)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().parse();
        let port = port.expect("aiosmtpd is installed: Debian's python3-aiosmtpd");
        let folder = folder.to_owned();
        Self {
            child,
            folder,
            port,
        }
    }

    fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// From now on; empty: it takes all.
    fn answers(&self, line: &str) {
        let file = self.folder.join("answer");
        if line.is_empty() {
            std::fs::remove_file(file).unwrap();
        } else {
            std::fs::write(file, line).unwrap();
        }
    }

    /// What it has taken, in order.
    fn mails(&self) -> Vec<Value> {
        let read = |number: usize| {
            let file = self.folder.join(format!("{number}.json"));
            let text = std::fs::read_to_string(file).ok()?;
            Some(serde_json::from_str(&text).unwrap())
        };
        (1..).map_while(read).collect()
    }

    /// To whom, in order.
    fn recipients(&self) -> Vec<String> {
        let to = |mail: &Value| mail["to"][0].as_str().unwrap().to_owned();
        self.mails().iter().map(to).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Club {
    /// `update-stats` with that mail server, and what the job said.
    fn mails_by(&self, smtp_url: &str) -> String {
        let mut command = self.site.program("--json update-stats");
        command.envs(settings(smtp_url));
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let jobs = said["jobs"].as_array().unwrap();
        let job = jobs.iter().find(|job| job["name"] == "mail").unwrap();
        assert_eq!(output.status.success(), job["done"] == true, "{output:?}");
        job["report"].as_str().unwrap().to_owned()
    }

    /// Changes members' accounts as an admin would, each by one invite.
    fn tell(&self, members: &[&Caller]) {
        let admin = self.admin();
        for member in members {
            let path = format!("/api/admin/users/{}/", member.id());
            let invites = member.get("/api/user/profile/").json()["invites"].clone();
            let invites = invites.as_u64().unwrap() + 1;
            let changed = admin.patch(&path, json!({ "invites": invites }));
            assert_eq!(changed.status, 200, "{changed:?}");
        }
    }

    fn states(&self) -> Vec<Option<String>> {
        let query = "select mail_state from notifications order by id";
        let rows: Vec<(Option<String>,)> = self.site.rows(query);
        rows.into_iter().map(|(state,)| state).collect()
    }
}

/// The lines of a mail's head, by name.
fn header(mail: &Value, name: &str) -> String {
    let text = mail["text"].as_str().unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head
        .split("\r\n")
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let value = lines.next().unwrap_or_else(|| panic!("no {name}: {head}"));
    assert_eq!(lines.next(), None, "{head}");
    value.to_owned()
}

fn a_low_ratio_is_mailed_once(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let ann = club.member("ann");
    let hash = club.site.add_torrent();
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let announce = |downloaded: u64, rest: &str| {
        let rest = format!("uploaded=0&downloaded={downloaded}&left=9{rest}");
        club.server.announce_when_known(key, &hash, 6881, &rest);
    };
    announce(0, "&event=started");
    announce(11 * GIB, "");
    until(|| {
        let stats = ann.get("/api/user/stats/").json();
        (stats["credited_downloaded"] == 11 * GIB).then_some(())
    });
    assert_eq!(club.mails_by(&server.url()), "1 sent, 0 left, 0 given up");
    assert_eq!(club.mails_by(&server.url()), "0 sent, 0 left, 0 given up");
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let mail = &mails[0];
    assert_eq!(mail["from"], "tracker@example.org");
    assert_eq!(mail["to"], json!(["ann@example.org"]));
    assert_eq!(header(mail, "To"), "ann@example.org");
    assert!(header(mail, "From").ends_with("<tracker@example.org>"));
    assert_eq!(header(mail, "Subject"), "Example Tracker: your ratio");
    assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
    assert!(header(mail, "Content-Type").starts_with("text/plain"));
    assert!(header(mail, "Date").ends_with(" +0000"));
    let told = ann.get("/api/user/notifications/").json()["results"][0].clone();
    let id = header(mail, "Message-ID");
    assert!(id.starts_with(&format!("<purser-{}-", told["id"])), "{id}");
    assert!(id.ends_with("@example.org>"), "{id}");
    let text = mail["text"].as_str().unwrap();
    let message = told["message"].as_str().unwrap();
    for part in [
        "Hello ann,\r\n",
        message,
        "\r\nExample Tracker\r\nhttps://api.example.org\r\n",
        "PATCH https://api.example.org/api/user/profile/ with {\"mail\": false}",
    ] {
        let unfolded = text.replace("=\r\n", "").replace("=3D", "=");
        assert!(unfolded.contains(part), "{part}: {text}");
    }
}

fn while_the_server_is_down_nothing_is_lost(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    club.tell(&[&ann, &bob]);
    let (url, folder, port) = (server.url(), server.folder.clone(), server.port);
    drop(server);
    let report = club.mails_by(&url);
    let begins = "0 sent, 2 left, 0 given up: the mail server: ";
    assert!(report.starts_with(begins), "{report}");
    assert!(report.contains("Connection refused"), "{report}");
    let server = MailServer::start_with(&folder, &port.to_string(), &[]);
    assert_eq!(club.mails_by(&url), "2 sent, 0 left, 0 given up");
    assert_eq!(server.recipients(), ["ann@example.org", "bob@example.org"]);
}

fn what_is_refused_for_now_is_tried_again_after_the_others(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    club.tell(&[&ann]);
    for answer in ["RCPT 451 not now", "DATA 452 no room"] {
        server.answers(answer);
        assert_eq!(club.mails_by(&server.url()), "0 sent, 1 left, 0 given up");
    }
    // As if it had been told before the last try.
    club.tell(&[&bob]);
    let _: Vec<(i64,)> = club.site.rows(
        "update notifications set mail_at = mail_at - 60
         where user_id = (select id from users where username = 'bob') returning id",
    );
    server.answers("");
    assert_eq!(club.mails_by(&server.url()), "2 sent, 0 left, 0 given up");
    assert_eq!(server.recipients(), ["bob@example.org", "ann@example.org"]);
}

fn what_is_refused_for_good_is_given_up_and_logged(database: Database) {
    let club = Club::open(database);
    let mails = MailServer::start(&club.site);
    let ann = club.member("ann");
    // Servers like to repeat addresses.
    mails.answers("DATA 554 spam to ann@example.org");
    club.tell(&[&ann]);
    let given_up = "0 sent, 0 left, 1 given up";
    assert_eq!(club.mails_by(&mails.url()), given_up);
    mails.answers("RCPT 550 no ADDRESS here");
    club.tell(&[&ann]);
    let Club { site, server } = club;
    server.stop();
    // As if it had not run in this minute.
    let _: Vec<(String,)> = site.rows("delete from jobs where name = 'mail' returning name");
    let server = site.start_with("api", &settings(&mails.url()));
    until(|| {
        let job = "select report from jobs where name = 'mail' and report is not null";
        let rows: Vec<(String,)> = site.rows(job);
        rows.first().map(|(report,)| assert_eq!(report, given_up))
    });
    server.signal(Signal::TERM);
    let (_, log) = server.ended();
    let line = "a mail is given up: the mail server answered 550";
    assert!(log.contains(line), "{log}");
    assert!(!log.contains("ann@"), "{log}");
    let states: Vec<(String,)> = site.rows("select mail_state from notifications");
    assert_eq!(states, vec![("refused".to_owned(),); 2]);
    // Nor is it tried again.
    mails.answers("");
    let server = site.start("api");
    let club = Club { site, server };
    assert_eq!(club.mails_by(&mails.url()), "0 sent, 0 left, 0 given up");
    assert_eq!(mails.recipients(), [""; 0]);
}

fn after_a_day_a_mail_is_given_up(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    club.tell(&[&ann, &bob]);
    // Bob's has some minutes left.
    for (name, secs) in [("ann", 86_400), ("bob", 85_800)] {
        let _: Vec<(i64,)> = club.site.rows(&format!(
            "update notifications set created_at = created_at - {secs}
             where user_id = (select id from users where username = '{name}') returning id"
        ));
    }
    assert_eq!(club.mails_by(&server.url()), "1 sent, 0 left, 1 given up");
    assert_eq!(server.recipients(), ["bob@example.org"]);
    assert_eq!(club.states()[0], Some("late".to_owned()));
}

fn a_server_that_wants_none_costs_no_mail(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    club.tell(&[&ann, &bob]);
    let _: Vec<(i64,)> = club
        .site
        .rows("update notifications set mail_at = mail_at - 60 returning id");
    // Ann's waits for Bob's then: should it be hers that the server can't bear.
    for answer in ["EHLO 550 go away", "RCPT 421 closing"] {
        server.answers(answer);
        let code = &answer[5..8];
        let report = format!("0 sent, 2 left, 0 given up: the mail server answered {code}");
        assert_eq!(club.mails_by(&server.url()), report);
    }
    server.answers("");
    assert_eq!(club.mails_by(&server.url()), "2 sent, 0 left, 0 given up");
    assert_eq!(server.recipients(), ["bob@example.org", "ann@example.org"]);
}

fn a_wrong_login_costs_no_mail(database: Database) {
    let club = Club::open(database);
    let folder = club.site.path().join("mails");
    let server = MailServer::start_with(&folder, "0", &["purser", "geheim"]);
    let ann = club.member("ann");
    club.tell(&[&ann]);
    let place = format!("127.0.0.1:{}", server.port);
    let report = club.mails_by(&format!("smtp://purser:verkehrt@{place}"));
    assert_eq!(
        report,
        "0 sent, 1 left, 0 given up: the mail server answered 535"
    );
    // Without a login it is refused at the first command that needs one.
    let report = club.mails_by(&format!("smtp://{place}"));
    assert_eq!(
        report,
        "0 sent, 1 left, 0 given up: the mail server answered 530"
    );
    // It has no TLS, so it isn't told the password.
    let report = club.mails_by(&format!("smtp://purser:geheim@{place}?tls=required"));
    let begins = "0 sent, 1 left, 0 given up: the mail server: ";
    assert!(report.starts_with(begins), "{report}");
    let report = club.mails_by(&format!("smtp://purser:geheim@{place}"));
    assert_eq!(report, "1 sent, 0 left, 0 given up");
    assert_eq!(server.mails()[0]["login"], true);
    for (password, finding) in [
        ("geheim", "ok    mail        smtp://purser:***@"),
        ("verkehrt", "FAIL  mail        smtp://purser:***@"),
    ] {
        let url = format!("smtp://purser:{password}@{place}");
        let mut doctor = club.site.program("doctor");
        let output = doctor.envs(settings(&url)).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        assert!(found.contains(finding), "{found}");
        assert!(!found.contains(password), "{found}");
    }
}

fn nobody_gets_mail_who_turned_it_off_or_cannot_have_any(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    let (cid, dan) = (club.member("cid"), club.member("dan"));
    club.tell(&[&ann, &bob, &cid, &dan]);
    let off = ann.patch("/api/user/profile/", json!({ "mail": false }));
    assert_eq!(off.status, 200, "{off:?}");
    for (name, columns) in [
        ("bob", "email = null, email_key = null"),
        ("cid", "status = 'disabled'"),
    ] {
        let changed: Vec<(i64,)> = club.site.rows(&format!(
            "update users set {columns} where username = '{name}' returning id"
        ));
        assert_eq!(changed.len(), 1);
    }
    assert_eq!(club.mails_by(&server.url()), "1 sent, 0 left, 0 given up");
    assert_eq!(server.recipients(), ["dan@example.org"]);
    // What was said meanwhile isn't sent afterwards.
    ann.patch("/api/user/profile/", json!({ "mail": true }));
    assert_eq!(club.mails_by(&server.url()), "0 sent, 0 left, 0 given up");
    club.tell(&[&ann]);
    assert_eq!(club.mails_by(&server.url()), "1 sent, 0 left, 0 given up");
    assert_eq!(server.recipients()[1], "ann@example.org");
}

fn what_does_not_matter_is_not_mailed(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let (ann, admin) = (club.member("ann"), club.admin());
    let path = format!("/api/admin/users/{}/credits/", ann.id());
    let gift = json!({ "amount_milli": 5, "reason": "for seeding" });
    assert_eq!(admin.post(&path, gift).status, 201);
    assert_eq!(club.mails_by(&server.url()), "0 sent, 0 left, 0 given up");
    assert_eq!(club.states(), [None]);
}

fn nothing_from_a_name_or_an_address_gets_into_a_header(database: Database) {
    let club = Club::open(database);
    let server = MailServer::start(&club.site);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    club.tell(&[&ann, &bob]);
    // As another program might have left them there.
    let newline = "' || cast(x'0d0a' as text) || '";
    let newline = match database {
        Database::Sqlite => newline,
        Database::Postgres => "' || e'\\r\\n' || '",
    };
    for (name, columns) in [
        (
            "ann",
            format!("username = 'ann{newline}Bcc: all@example.org'"),
        ),
        (
            "bob",
            format!("email = 'bob@example.org{newline}Bcc: all@example.org'"),
        ),
    ] {
        let changed: Vec<(i64,)> = club.site.rows(&format!(
            "update users set {columns} where username_key = '{name}' returning id"
        ));
        assert_eq!(changed.len(), 1);
    }
    assert_eq!(club.mails_by(&server.url()), "1 sent, 0 left, 1 given up");
    let mails = server.mails();
    assert_eq!(mails[0]["to"], json!(["ann@example.org"]));
    let text = mails[0]["text"].as_str().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("Bcc"), "{text}");
    assert!(
        body.contains("Hello ann\r\nBcc: all@example.org,"),
        "{text}"
    );
}

fn without_a_server_there_is_no_mail(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    club.tell(&[&ann]);
    assert_eq!(club.mails_by(""), "mail.smtp_url is empty: no mail");
    assert_eq!(club.states(), [Some("due".to_owned())]);
    // What is older when there is one isn't news any more.
    let _: Vec<(i64,)> = club
        .site
        .rows("update notifications set created_at = created_at - 86400 returning id");
    assert_eq!(club.mails_by(""), "mail.smtp_url is empty: no mail");
    assert_eq!(club.states(), [Some("late".to_owned())]);
    let server = MailServer::start(&club.site);
    assert_eq!(club.mails_by(&server.url()), "0 sent, 0 left, 0 given up");
    assert_eq!(server.recipients(), [""; 0]);
}

fn a_member_says_whether_they_want_mail(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (club.member("ann"), club.member("bob"));
    let profile = "/api/user/profile/";
    assert_eq!(ann.get(profile).json()["mail"], true);
    // It takes a login, as all changes of an account do, and no password.
    let off = json!({ "mail": false });
    club.anonymous()
        .patch(profile, off.clone())
        .is_problem(401, "unauthenticated");
    ann.bot(&["read"])
        .patch(profile, off.clone())
        .is_problem(403, "forbidden");
    let changed = ann.patch(profile, off);
    assert_eq!(changed.json()["mail"], false, "{changed:?}");
    assert_eq!(ann.get(profile).json()["mail"], false);
    assert_eq!(bob.get(profile).json()["mail"], true);
    // Another address still needs the password, and what is refused changes nothing.
    let both = json!({ "mail": true, "email": "ann@example.net" });
    ann.patch(profile, both).minds(&["current_password"]);
    ann.patch(profile, json!({ "mail": "yes" }))
        .minds(&["mail"]);
    assert_eq!(ann.get(profile).json()["mail"], false);
}
