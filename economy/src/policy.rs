//! What an operator may choose: a TOML file, or nothing and a sane site.
//!
//! What the file leaves out is as in `default.toml`. What is wrong in it is refused in one line that says where, and what
//! would be right: a number out of range, and rules that are right by themselves and nonsense side by side.

mod file;

use toml::de::DeTable;
use tracker_core::ids::{TorrentId, UserId};
use tracker_core::registry::UserClass;

pub use crate::class::{ClassRules, Privileges};
pub use crate::price::Earning;
pub use crate::ratio::RatioWatch;
pub use crate::seeding::Seeding;
pub use crate::shop::{Item, Shop, Ware};
pub use crate::snatch::HitAndRun;
use crate::window::{Scope, Window};
use file::Section;

/// All that an operator may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What traffic earns and costs.
    pub earning: Earning,
    /// What seeding earns.
    pub seeding: Seeding,
    /// What each class asks for and gives, in the order of [`UserClass::ALL`].
    pub classes: [ClassRules; 4],
    /// Days between falling below a class's rules and going down.
    pub demotion_grace_days: u32,
    /// What a snatch asks for.
    pub hit_and_run: HitAndRun,
    /// Who may no longer leech.
    pub ratio_watch: RatioWatch,
    /// What credit buys.
    pub shop: Shop,
    /// Times with other rules, for simulations: a running site has its own in the database.
    pub windows: Vec<Window>,
}

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PolicyError {
    /// Where in the text, from 1.
    pub line: usize,
    /// The key, what is wrong with it, and what would be right.
    pub reason: String,
}

impl Policy {
    /// Every key with its default, unit and reason.
    pub const DEFAULT_TOML: &str = include_str!("default.toml");

    /// Reads a file's text. Keys that it leaves out have their defaults.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let given = parse_toml(text)?;
        let defaults = parse_toml(Self::DEFAULT_TOML)?;
        let mut file = Section::whole(text, &given, &defaults);

        let earning = read_earning(file.section("earning")?)?;
        let seeding = read_seeding(file.section("seeding")?)?;
        let (classes, demotion_grace_days) = read_classes(file.section("classes")?)?;
        let hit_and_run = read_hit_and_run(file.section("hit_and_run")?)?;
        let ratio_watch = read_ratio_watch(file.section("ratio_watch")?)?;
        let shop = read_shop(file.list("shop", MOST_ITEMS)?)?;
        let windows = read_windows(file.list("windows", MOST_WINDOWS)?)?;
        file.done()?;
        Ok(Self {
            earning,
            seeding,
            classes,
            demotion_grace_days,
            hit_and_run,
            ratio_watch,
            shop,
            windows,
        })
    }

    /// What a class asks for and gives.
    pub fn class(&self, class: UserClass) -> &ClassRules {
        let [newbie, member, trusted, elite] = &self.classes;
        match class {
            UserClass::Newbie => newbie,
            UserClass::Member => member,
            UserClass::Trusted => trusted,
            UserClass::Elite => elite,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::parse(Self::DEFAULT_TOML).expect("a test parses it")
    }
}

const MOST_MILLI: u64 = 1_000_000_000;
/// A price or reward above it is a slip: a thousand credits for a GiB.
const MOST_MILLI_PER_GIB: u64 = 1_000_000;
const MOST_BYTES: u64 = 1 << 60;
const MOST_DAYS: u64 = 36_500;
const MOST_HOURS: u64 = 876_000;
/// Times are 32 bits, so whoever joined at the beginning of 2026 will be 29,256 days old when they end, in 2106.
const MOST_AGE_DAYS: u32 = 29_256;
/// A ratio of 100.
const MOST_RATIO_MILLI: u64 = 100_000;
/// A shop is one page.
const MOST_ITEMS: usize = 100;
/// Counting looks at all of them.
const MOST_WINDOWS: usize = 1000;

fn parse_toml(text: &str) -> Result<DeTable<'_>, PolicyError> {
    match DeTable::parse(text) {
        Ok(table) => Ok(table.into_inner()),
        Err(error) => Err(PolicyError {
            line: file::line_of(text, error.span().map_or(0, |span| span.start)),
            reason: format!("not TOML: {}", error.message().replace('\n', ", ")),
        }),
    }
}

fn read_earning(mut section: Section<'_>) -> Result<Earning, PolicyError> {
    let earning = Earning {
        upload_milli_per_gib: section.number("upload_milli_per_gib", 0..=MOST_MILLI_PER_GIB)?,
        download_milli_per_gib: section.number("download_milli_per_gib", 0..=MOST_MILLI_PER_GIB)?,
        allow_debt: section.flag("allow_debt")?,
    };
    section.done()?;
    Ok(earning)
}

fn read_seeding(mut section: Section<'_>) -> Result<Seeding, PolicyError> {
    let seeding = Seeding {
        base_milli_per_hour: section.number("base_milli_per_hour", 0..=MOST_MILLI_PER_GIB)?,
        cap_milli_per_hour: section.number("cap_milli_per_hour", 0..=MOST_MILLI)?,
        full_balance_milli: section.number("full_balance_milli", 0..=MOST_MILLI)?,
        full_size: section.size("full_size", 1..=1 << 44)?,
        rarity_bonus_percent: section.number("rarity_bonus_percent", 0..=10_000)?,
        age_bonus_percent: section.number("age_bonus_percent", 0..=10_000)?,
        full_age_days: section.number("full_age_days", 1..=MOST_DAYS)?,
    };
    section.done()?;
    let (base, cap) = (seeding.base_milli_per_hour, seeding.cap_milli_per_hour);
    if cap < base {
        return Err(section.refuse(
            &["cap_milli_per_hour", "base_milli_per_hour"],
            format!("{cap} is less than base_milli_per_hour ({base}): one GiB would be over it"),
        ));
    }
    let full = seeding.full_balance_milli;
    if full > 0 && full < cap {
        return Err(section.refuse(
            &["full_balance_milli", "cap_milli_per_hour"],
            format!("{full} is less than cap_milli_per_hour ({cap}): one hour would fill it"),
        ));
    }
    Ok(seeding)
}

fn read_classes(mut section: Section<'_>) -> Result<([ClassRules; 4], u32), PolicyError> {
    let demotion_grace_days = section.number("demotion_grace_days", 0..=MOST_DAYS)?;
    let [newbie, member, trusted, elite] =
        UserClass::ALL.map(|class| section.section(class.name()).and_then(read_class));
    let classes = [newbie?, member?, trusted?, elite?];
    section.done()?;
    for (class, rules) in UserClass::ALL.into_iter().zip(&classes) {
        check_class(&mut section, class, rules)?;
    }
    let names = UserClass::ALL.map(UserClass::name);
    for (pair, names) in classes.windows(2).zip(names.windows(2)) {
        if let ([below, above], [lower, higher]) = (pair, names) {
            check_above(&mut section, (lower, below), (higher, above))?;
        }
    }
    Ok((classes, demotion_grace_days))
}

fn read_class(mut section: Section<'_>) -> Result<ClassRules, PolicyError> {
    let rules = ClassRules {
        min_age_days: section.number("min_age_days", 0..=u32::MAX.into())?,
        min_uploaded: section.size("min_uploaded", 0..=MOST_BYTES)?,
        min_ratio_milli: section.number("min_ratio_milli", 0..=MOST_RATIO_MILLI)?,
        min_seed_hours: section.number("min_seed_hours", 0..=u32::MAX.into())?,
        min_torrents: section.number("min_torrents", 0..=1_000_000)?,
        no_open_hit_and_run: section.flag("no_open_hit_and_run")?,
        privileges: Privileges {
            download_slots: section.number("download_slots", 0..=1_000_000)?,
            invites: section.number("invites", 0..=1000)?,
            upload_percent: section.number("upload_percent", 100..=1000)?,
            token_days: section.number("token_days", 0..=MOST_DAYS)?,
            requests_per_minute: section.number("requests_per_minute", 0..=MOST_MILLI)?,
        },
    };
    section.done()?;
    Ok(rules)
}

/// What a class asks for, as numbers that can be compared.
fn thresholds(rules: &ClassRules) -> [(&'static str, u64); 6] {
    [
        ("min_age_days", rules.min_age_days.into()),
        ("min_uploaded", rules.min_uploaded),
        ("min_ratio_milli", rules.min_ratio_milli.into()),
        ("min_seed_hours", rules.min_seed_hours.into()),
        ("min_torrents", rules.min_torrents.into()),
        ("no_open_hit_and_run", rules.no_open_hit_and_run.into()),
    ]
}

/// Refuses what nobody could meet.
fn check_class(
    classes: &mut Section<'_>,
    class: UserClass,
    rules: &ClassRules,
) -> Result<(), PolicyError> {
    let section = classes.section(class.name())?;
    let (days, hours) = (rules.min_age_days, rules.min_seed_hours);
    if class == UserClass::Newbie
        && let Some((key, _)) = thresholds(rules).into_iter().find(|(_, value)| *value > 0)
    {
        let asks = "everybody begins as a newbie, so it can't ask for anything";
        return Err(section.refuse(&[key], asks.to_owned()));
    }
    if days > MOST_AGE_DAYS {
        let end = format!(
            "nobody can be {days} days old before times end, in 2106: at most {MOST_AGE_DAYS}"
        );
        return Err(section.refuse(&["min_age_days"], end));
    }
    let most_hours = u64::from(days) * 24;
    if u64::from(hours) > most_hours {
        return Err(section.refuse(
            &["min_seed_hours", "min_age_days"],
            format!(
                "nobody can have seeded a torrent for {hours} hours in {days} days: at most {most_hours}"
            ),
        ));
    }
    Ok(())
}

/// Refuses a class that asks for less than the one below it: who has it could be too little for the class they came from. And
/// one that gives less: to rise would be a loss.
fn check_above(
    classes: &mut Section<'_>,
    (lower, below): (&str, &ClassRules),
    (higher, above): (&'static str, &ClassRules),
) -> Result<(), PolicyError> {
    let asked = thresholds(below).into_iter().zip(thresholds(above));
    for ((key, least), (_, value)) in asked {
        if value < least {
            let reason = if key == "no_open_hit_and_run" {
                format!("false is not true, as it is for {lower}, the class below")
            } else {
                format!("{value} is less than {lower}, the class below, asks for ({least})")
            };
            return Err(refuse_above(classes, (lower, higher), key, reason));
        }
    }
    let given = limits(below).into_iter().zip(limits(above));
    for ((key, least), (_, value)) in given {
        let rank = |limit: u32| if limit == 0 { u32::MAX } else { limit };
        if rank(value) < rank(least) {
            let least = if least == 0 {
                "no limit".to_owned()
            } else {
                least.to_string()
            };
            let reason = format!("{value} is less than {lower}, the class below, has ({least})");
            return Err(refuse_above(classes, (lower, higher), key, reason));
        }
    }
    Ok(())
}

/// In the line of the class above, if it gives the key; else in that of the class below.
fn refuse_above(
    classes: &mut Section<'_>,
    (lower, higher): (&str, &'static str),
    key: &'static str,
    reason: String,
) -> PolicyError {
    let section = match classes.section(higher) {
        Ok(section) => section,
        Err(error) => return error,
    };
    let mut error = section.refuse(&[key], reason);
    if !section.gives(key)
        && let Some(line) = classes.line_within(lower, key)
    {
        error.line = line;
    }
    error
}

/// What a class may, and 0 is no limit of.
fn limits(rules: &ClassRules) -> [(&'static str, u32); 4] {
    let privileges = &rules.privileges;
    [
        ("download_slots", privileges.download_slots),
        ("upload_percent", privileges.upload_percent.into()),
        ("token_days", privileges.token_days),
        ("requests_per_minute", privileges.requests_per_minute),
    ]
}

fn read_hit_and_run(mut section: Section<'_>) -> Result<HitAndRun, PolicyError> {
    let rules = HitAndRun {
        enabled: section.flag("enabled")?,
        min_seed_hours: section.number("min_seed_hours", 1..=MOST_HOURS)?,
        min_ratio_milli: section.number("min_ratio_milli", 0..=MOST_RATIO_MILLI)?,
        within_days: section.number("within_days", 1..=MOST_DAYS)?,
        warn_before_days: section.number("warn_before_days", 0..=MOST_DAYS)?,
        max_open: section.number("max_open", 0..=1_000_000)?,
    };
    section.done()?;
    let (hours, days) = (rules.min_seed_hours, rules.within_days);
    if u64::from(hours) > u64::from(days) * 24 {
        return Err(section.refuse(
            &["min_seed_hours", "within_days"],
            format!("nobody can seed for {hours} hours within {days} days"),
        ));
    }
    if rules.warn_before_days > days {
        return Err(section.refuse(
            &["warn_before_days", "within_days"],
            format!(
                "{} is more than within_days ({days})",
                rules.warn_before_days
            ),
        ));
    }
    Ok(rules)
}

fn read_ratio_watch(mut section: Section<'_>) -> Result<RatioWatch, PolicyError> {
    let rules = RatioWatch {
        enabled: section.flag("enabled")?,
        min_downloaded: section.size("min_downloaded", 0..=MOST_BYTES)?,
        grace_days: section.number("grace_days", 0..=MOST_DAYS)?,
    };
    section.done()?;
    Ok(rules)
}

fn read_shop(sections: Vec<Section<'_>>) -> Result<Shop, PolicyError> {
    let mut items: Vec<Item> = Vec::new();
    for mut section in sections {
        let id = section.text("id", is_id, "1 to 64 of a to z, 0 to 9 and hyphens")?;
        let name = section.text("name", is_title, "a name of up to 100 characters")?;
        let price_milli = section.number("price_milli", 1..=MOST_MILLI)?;
        let is_kind = |text: &str| KINDS.contains(&text);
        let kind = section.text("what", is_kind, &KINDS.join(", "))?;
        let what = match kind.as_str() {
            "upload_credit" => Ware::UploadCredit {
                bytes: section.size("bytes", 1..=MOST_BYTES)?,
            },
            "freeleech_token" => Ware::FreeleechToken {
                hours: section.number("hours", 1..=MOST_HOURS)?,
            },
            "settle_hit_and_run" => Ware::SettleHitAndRun,
            _ => Ware::Invite,
        };
        section.done()?;
        if items.iter().any(|item| item.id == id) {
            return Err(section.refuse(&["id"], format!("{id} is another item's already")));
        }
        items.push(Item {
            id,
            name,
            price_milli,
            what,
        });
    }
    Ok(Shop { items })
}

const KINDS: [&str; 4] = [
    "invite",
    "upload_credit",
    "freeleech_token",
    "settle_hit_and_run",
];

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_title(text: &str) -> bool {
    (1..=100).contains(&text.chars().count()) && !text.contains(char::is_control)
}

fn read_windows(sections: Vec<Section<'_>>) -> Result<Vec<Window>, PolicyError> {
    let mut windows: Vec<(Window, String, usize)> = Vec::new();
    for mut section in sections {
        let window = read_window(&mut section)?;
        let overlapped = windows.iter().find(|(other, ..)| window.overlaps(other));
        if let Some((_, name, line)) = overlapped {
            let same = format!("overlaps {name} in line {line}, which is for the same");
            return Err(section.refuse(&[], same));
        }
        windows.push((window, section.name().to_owned(), section.line()));
    }
    Ok(windows.into_iter().map(|(window, ..)| window).collect())
}

fn read_window(section: &mut Section<'_>) -> Result<Window, PolicyError> {
    let mut scopes = Vec::new();
    if section.has("class") {
        scopes.push(Scope::Class(section.class("class")?));
    }
    if section.has("torrent") {
        let id = section.number("torrent", 1..=MOST_ROW)?;
        scopes.push(Scope::Torrent(TorrentId(id)));
    }
    if section.has("user") {
        let id = section.number("user", 1..=MOST_ROW)?;
        scopes.push(Scope::User(UserId(id)));
    }
    let scope = match scopes.as_slice() {
        [] => Scope::Global,
        [scope] => *scope,
        _ => {
            let one = "is for one of class, torrent and user, or for everybody with none of them";
            return Err(section.refuse(&[], one.to_owned()));
        }
    };
    let mut percent = |key, range| {
        if section.has(key) {
            section.number(key, range)
        } else {
            Ok(100)
        }
    };
    let download_percent = percent("download_percent", 0..=100)?;
    let upload_percent = percent("upload_percent", 100..=1000)?;
    let starts_at = section.time("starts_at")?;
    let ends_at = if section.has("ends_at") {
        Some(section.time("ends_at")?)
    } else {
        None
    };
    section.done()?;
    let window = Window {
        scope,
        download_percent,
        upload_percent,
        starts_at,
        ends_at,
    };
    match window.check() {
        Ok(()) => Ok(window),
        // Each of its reasons begins with the key.
        Err(wrong) => {
            let (key, reason) = wrong.split_once(' ').unwrap_or((wrong, "is wrong"));
            Err(section.refuse(&[key], reason.to_owned()))
        }
    }
}

/// Row numbers are positive 32-bit integers.
const MOST_ROW: u64 = (1 << 31) - 1;

#[cfg(test)]
mod tests;
