use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use tracker_core::ids::UnixTime;

use super::*;

#[test]
fn the_defaults_are_right() {
    let policy = Policy::parse(Policy::DEFAULT_TOML).expect("default.toml is right");
    assert_eq!(policy, Policy::default());
    assert_eq!(Policy::parse(""), Ok(policy), "and what a file leaves out");
}

/// Of the numbers that others build on: the rest is in default.toml.
#[test]
fn the_defaults_are_a_sane_site() {
    let policy = Policy::default();
    assert_eq!(policy.earning.upload_milli_per_gib, 1000);
    assert_eq!(
        policy.class(UserClass::Newbie).privileges.download_slots,
        10
    );
    let member = policy.class(UserClass::Member);
    assert_eq!((member.min_age_days, member.min_uploaded), (7, 10 << 30));
    let elite = policy.class(UserClass::Elite);
    assert_eq!((elite.min_uploaded, elite.min_torrents), (1 << 40, 10));
    assert_eq!(policy.classes[3], *elite);
    assert_eq!(policy.shop.items.len(), 5);
    assert_eq!(policy.windows, []);
}

/// An empty file has the defaults because default.toml has every key: each class too, which no parsing would miss.
#[test]
fn every_key_has_a_default_and_a_comment() {
    let text = Policy::DEFAULT_TOML;
    let table = parse_toml(text).expect("default.toml is right");
    let mut explained = BTreeSet::new();
    let mut is_explained = false;
    for line in text.lines() {
        match line.split_once(" = ") {
            Some((key, _)) if !line.starts_with('#') && is_explained => {
                explained.insert(key);
            }
            _ => {}
        }
        is_explained = line.starts_with("# ");
    }
    for (section, keys) in &table {
        let Some(keys) = keys.get_ref().as_table() else {
            continue;
        };
        for key in keys.keys().map(|key| key.get_ref().as_ref()) {
            let is_class = UserClass::ALL.iter().any(|class| class.name() == key);
            assert!(
                is_class || explained.contains(key),
                "{}.{key} has no comment",
                section.get_ref()
            );
        }
    }
    for class in UserClass::ALL {
        assert_eq!(
            keys_of(&table, class),
            keys_of(&table, UserClass::Newbie),
            "{class:?}"
        );
    }
    for key in keys_of(&table, UserClass::Newbie) {
        assert!(explained.contains(key), "{key} has no comment");
    }
}

fn keys_of<'a>(table: &'a DeTable<'_>, class: UserClass) -> Vec<&'a str> {
    let classes = table.get("classes").and_then(|it| it.get_ref().as_table());
    let class = classes.and_then(|classes| classes.get(class.name())?.get_ref().as_table());
    let keys = class.into_iter().flat_map(DeTable::keys);
    keys.map(|key| key.get_ref().as_ref()).collect()
}

#[test]
fn a_file_changes_what_it_names() {
    let text = r#"
        [earning]
        download_milli_per_gib = 0x10
        [classes]
        demotion_grace_days = 7
        member.min_uploaded = "12 GiB"
        [classes.elite]
        min_uploaded = 2199023255552
        [[shop]]
        id = "day"
        name = "A day"
        price_milli = 1
        what = "freeleech_token"
        hours = 24
        [[windows]]
        upload_percent = 200
        starts_at = 2028-02-29T12:00:00+02:00
        [[windows]]
        class = "elite"
        download_percent = 50
        starts_at = 1970-01-01T00:00:00Z
        ends_at = 2106-02-07T06:28:15Z
        [[windows]]
        torrent = 1
        starts_at = 2000-03-01T00:00:00Z
        ends_at = 2100-03-01 00:00:00Z
        [[windows]]
        user = 1
        starts_at = 2026-12-24T00:00:00Z
    "#;
    let mut expected = Policy::default();
    expected.earning.download_milli_per_gib = 16;
    expected.demotion_grace_days = 7;
    expected.classes[1].min_uploaded = 12 << 30;
    expected.classes[3].min_uploaded = 2 << 40;
    expected.shop.items = vec![Item {
        id: "day".to_owned(),
        name: "A day".to_owned(),
        price_milli: 1,
        what: Ware::FreeleechToken { hours: 24 },
    }];
    let window =
        |scope, (download_percent, upload_percent), starts_at, ends_at: Option<u32>| Window {
            scope,
            download_percent,
            upload_percent,
            starts_at: UnixTime(starts_at),
            ends_at: ends_at.map(UnixTime),
        };
    expected.windows = vec![
        window(Scope::Global, (100, 200), 1_835_431_200, None),
        window(Scope::Class(UserClass::Elite), (50, 100), 0, Some(u32::MAX)),
        window(
            Scope::Torrent(TorrentId(1)),
            (100, 100),
            951_868_800,
            Some(4_107_542_400),
        ),
        window(Scope::User(UserId(1)), (100, 100), 1_798_070_400, None),
    ];
    assert_eq!(Policy::parse(text), Ok(expected));
    let nothing_for_sale = Policy::parse("shop = []").map(|policy| policy.shop.items);
    assert_eq!(nothing_for_sale, Ok(vec![]));
}

/// Each row: a file's text, and the one line that refuses it.
#[test]
fn what_is_wrong_is_refused_with_its_line_and_the_reason() {
    let table = [
        // Not TOML, or not in this shape.
        ("[earning]\nupload_milli_per_gib = \n", "line 2: not TOML: "),
        ("[earning]\n\n[earning]", "line 3: not TOML: "),
        (
            "earning = 5",
            "line 1: earning: 5 is not a section: write [earning]",
        ),
        (
            "[classes]\nmember = 5",
            "line 2: classes.member: 5 is not a section: write [classes.member]",
        ),
        ("shop = 5", "line 1: shop: 5 is not a list: write [[shop]]"),
        (
            "[windows]",
            "line 1: windows: a table is not a list: write [[windows]]",
        ),
        (
            "shop = [5]",
            "line 1: shop: 5 is not a list: write [[shop]]",
        ),
        // Unknown.
        (
            "\nerning = 5",
            "line 2: unknown key erning: here can be earning, seeding, classes, hit_and_run, ratio_watch, shop, windows",
        ),
        (
            "[earning]\nallow_debts = true",
            "line 2: unknown key earning.allow_debts: here can be upload_milli_per_gib, download_milli_per_gib, allow_debt",
        ),
        (
            "[classes.gold]\nmin_age_days = 5",
            "line 1: unknown key classes.gold: here can be demotion_grace_days, newbie, member, trusted, elite",
        ),
        (
            "[classes.elite]\nmin_age = 5",
            "line 2: unknown key classes.elite.min_age: here can be min_age_days, ",
        ),
        // Out of range, or of another type.
        (
            "[earning]\nupload_milli_per_gib = 1_000_001",
            "line 2: earning.upload_milli_per_gib: 1000001 is not a whole number from 0 to 1000000",
        ),
        (
            "[earning]\nupload_milli_per_gib = -1",
            "line 2: earning.upload_milli_per_gib: -1 is not a whole number from 0 to 1000000",
        ),
        (
            "[earning]\nupload_milli_per_gib = 99999999999999999999",
            "line 2: earning.upload_milli_per_gib: 99999999999999999999 is not ",
        ),
        (
            "[earning]\nallow_debt = 1",
            "line 2: earning.allow_debt: 1 is not true or false",
        ),
        (
            "[classes.member]\nmin_ratio_milli = 0.8",
            "line 2: classes.member.min_ratio_milli: 0.8 is not a whole number from 0 to 100000",
        ),
        (
            "[classes.member]\nupload_percent = 99",
            "line 2: classes.member.upload_percent: 99 is not a whole number from 100 to 1000",
        ),
        (
            "[classes.member]\nupload_percent = 1001",
            "line 2: classes.member.upload_percent: 1001 is not a whole number from 100 to 1000",
        ),
        (
            "[classes.member]\nmin_uploaded = \"25 GB\"",
            "line 2: classes.member.min_uploaded: \"25 GB\" is not a size from 0 to 1152921504606846976 bytes, as in 1048576 or \"25 GiB\"",
        ),
        (
            "[classes.member]\nmin_uploaded = \"GiB\"",
            "line 2: classes.member.min_uploaded: \"GiB\" is not a size ",
        ),
        (
            "[classes.member]\nmin_uploaded = \"99999999 PiB\"",
            "line 2: classes.member.min_uploaded: \"99999999 PiB\" is not a size ",
        ),
        (
            "[seeding]\nfull_size = 0",
            "line 2: seeding.full_size: 0 is not a size from 1 ",
        ),
        (
            "[hit_and_run]\nmin_seed_hours = 0",
            "line 2: hit_and_run.min_seed_hours: 0 is not a whole number from 1 ",
        ),
        // What nobody can meet.
        (
            "[classes.newbie]\ninvites = 1\nmin_age_days = 1",
            "line 3: classes.newbie.min_age_days: everybody begins as a newbie, so it can't ask for anything",
        ),
        (
            "[classes.newbie]\nno_open_hit_and_run = true",
            "line 2: classes.newbie.no_open_hit_and_run: everybody begins as a newbie",
        ),
        (
            "[classes.elite]\nmin_age_days = 29_257",
            "line 2: classes.elite.min_age_days: nobody can be 29257 days old before times end, in 2106: at most 29256",
        ),
        (
            "[classes.elite]\nmin_seed_hours = 4_321",
            "line 2: classes.elite.min_seed_hours: nobody can have seeded a torrent for 4321 hours in 180 days: at most 4320",
        ),
        (
            "[classes.elite]\nmin_age_days = 89",
            "line 2: classes.elite.min_seed_hours: nobody can have seeded a torrent for 2160 hours in 89 days: at most 2136",
        ),
        (
            "[hit_and_run]\nmin_seed_hours = 337",
            "line 2: hit_and_run.min_seed_hours: nobody can seed for 337 hours within 14 days",
        ),
        (
            "[hit_and_run]\nwithin_days = 2",
            "line 2: hit_and_run.min_seed_hours: nobody can seed for 72 hours within 2 days",
        ),
        // Classes that would go round in circles.
        (
            "[classes.trusted]\nmin_ratio_milli = 599",
            "line 2: classes.trusted.min_ratio_milli: 599 is less than member, the class below, asks for (600)",
        ),
        (
            "[classes.member]\nmin_uploaded = \"251 GiB\"",
            "line 2: classes.trusted.min_uploaded: 268435456000 is less than member, the class below, asks for (269509197824)",
        ),
        (
            "[classes.elite]\nmin_torrents = 10\n[classes.trusted]\nmin_torrents = 11",
            "line 2: classes.elite.min_torrents: 10 is less than trusted, the class below, asks for (11)",
        ),
        (
            "[classes.elite]\nno_open_hit_and_run = false",
            "line 2: classes.elite.no_open_hit_and_run: false is not true, as it is for trusted, the class below",
        ),
        // Right by themselves, and wrong side by side.
        (
            "[seeding]\nbase_milli_per_hour = 20_001",
            "line 2: seeding.cap_milli_per_hour: 20000 is less than base_milli_per_hour (20001): one GiB would be over it",
        ),
        (
            "[seeding]\nbase_milli_per_hour = 5\ncap_milli_per_hour = 4",
            "line 3: seeding.cap_milli_per_hour: 4 is less than ",
        ),
        (
            "[seeding]\ncap_milli_per_hour = 2000\nfull_balance_milli = 1999",
            "line 3: seeding.full_balance_milli: 1999 is less than cap_milli_per_hour (2000): one hour would fill it",
        ),
        (
            "[seeding]\nfull_balance_milli = 1_000_000_001",
            "line 2: seeding.full_balance_milli: 1000000001 is not a whole number from 0 to 1000000000",
        ),
        (
            "[hit_and_run]\nwarn_before_days = 15",
            "line 2: hit_and_run.warn_before_days: 15 is more than within_days (14)",
        ),
        (
            "[classes.member]\ndownload_slots = 9",
            "line 2: classes.member.download_slots: 9 is less than newbie, the class below, has (10)",
        ),
        (
            "[classes.newbie]\nrequests_per_minute = 0",
            "line 2: classes.member.requests_per_minute: 120 is less than newbie, the class below, has (no limit)",
        ),
        // The shop.
        ("[[shop]]\nid = \"a\"", "line 1: shop.1.name is missing"),
        (
            "[[shop]]\nid = \"A b\"",
            "line 2: shop.1.id: \"A b\" is not 1 to 64 of a to z, 0 to 9 and hyphens",
        ),
        (
            "[[shop]]\nid = \"a\"\nname = \"\"",
            "line 3: shop.1.name: \"\" is not a name of up to 100 characters",
        ),
        (
            "[[shop]]\nid = \"a\"\nname = \"A\"\nprice_milli = 0",
            "line 4: shop.1.price_milli: 0 is not a whole number from 1 to 1000000000",
        ),
        (
            "[[shop]]\nid = \"a\"\nname = \"A\"\nprice_milli = 1\nwhat = \"upload\"",
            "line 5: shop.1.what: \"upload\" is not invite, upload_credit, freeleech_token, settle_hit_and_run",
        ),
        (
            "[[shop]]\nid = \"a\"\nname = \"A\"\nprice_milli = 1\nwhat = \"upload_credit\"",
            "line 1: shop.1.bytes is missing",
        ),
        (
            "[[shop]]\nid = \"a\"\nname = \"A\"\nprice_milli = 1\nwhat = \"invite\"\nhours = 1",
            "line 6: unknown key shop.1.hours: here can be id, name, price_milli, what",
        ),
        (
            "[[shop]]\nid = \"a\"\nname = \"A\"\nprice_milli = 1\nwhat = \"invite\"\n\n[[shop]]\nname = \"B\"\nid = \"a\"\nprice_milli = 1\nwhat = \"invite\"",
            "line 9: shop.2.id: a is another item's already",
        ),
        // Windows.
        (
            "[[windows]]\nclass = \"elite\"",
            "line 1: windows.1.starts_at is missing",
        ),
        (
            "[[windows]]\nclass = \"gold\"",
            "line 2: windows.1.class: \"gold\" is not newbie, member, trusted or elite",
        ),
        (
            "[[windows]]\ntorrent = 0",
            "line 2: windows.1.torrent: 0 is not a whole number from 1 to 2147483647",
        ),
        (
            "[[windows]]\nuser = 1\ntorrent = 1",
            "line 1: windows.1: is for one of class, torrent and user, or for everybody with none of them",
        ),
        (
            "[[windows]]\ndownload_percent = 101",
            "line 2: windows.1.download_percent: 101 is not a whole number from 0 to 100",
        ),
        (
            "[[windows]]\nupload_percent = 99",
            "line 2: windows.1.upload_percent: 99 is not a whole number from 100 to 1000",
        ),
        (
            "[[windows]]\nstarts_at = 1798070400",
            "line 2: windows.1.starts_at: 1798070400 is not a time from 1970 to 2106, as in 2026-12-24T00:00:00Z",
        ),
        (
            "[[windows]]\nstarts_at = 2026-12-24T00:00:00",
            "line 2: windows.1.starts_at: 2026-12-24T00:00:00 is not a time ",
        ),
        (
            "[[windows]]\nstarts_at = 2026-12-24",
            "line 2: windows.1.starts_at: 2026-12-24 is not a time ",
        ),
        (
            "[[windows]]\nstarts_at = 1969-12-31T23:59:59Z",
            "line 2: windows.1.starts_at: 1969-12-31T23:59:59Z is not a time ",
        ),
        (
            "[[windows]]\nstarts_at = 2106-02-07T06:28:16Z",
            "line 2: windows.1.starts_at: 2106-02-07T06:28:16Z is not a time ",
        ),
        (
            "[[windows]]\nstarts_at = 2027-02-29T00:00:00Z",
            "line 2: not TOML: ",
        ),
        (
            "\n[[windows]]\nstarts_at = 2026-12-24T00:00:00Z\nends_at = 2026-12-24T00:00:00Z",
            "line 4: windows.1.ends_at: is not after starts_at",
        ),
        (
            "[[windows]]\nstarts_at = 2026-12-24T00:00:00Z\n\n[[windows]]\nstarts_at = 2026-12-23T00:00:00Z\nends_at = 2026-12-24T00:00:01Z",
            "line 4: windows.2: overlaps windows.1 in line 1, which is for the same",
        ),
    ];
    for (text, expected) in table {
        let error = Policy::parse(text).expect_err(text).to_string();
        assert!(
            error.starts_with(expected),
            "{text}\n  says  {error}\n  not   {expected}"
        );
    }
}

/// The last value that is right, where a table above has the first that is wrong.
#[test]
fn what_is_just_right_is_taken() {
    let table = [
        "[earning]\nupload_milli_per_gib = 1_000_000",
        "[seeding]\nbase_milli_per_hour = 20_000",
        "[seeding]\nfull_size = 1",
        "[seeding]\ncap_milli_per_hour = 2000\nfull_balance_milli = 2000",
        "[seeding]\nfull_balance_milli = 0",
        "[classes.elite]\nupload_percent = 1000",
        "[classes.member]\nmin_uploaded = \"250 GiB\"",
        "[classes.trusted]\nmin_ratio_milli = 600",
        "[classes.elite]\nmin_age_days = 29_256\nmin_seed_hours = 702_144",
        "[classes.elite]\nmin_age_days = 90",
        "[hit_and_run]\nmin_seed_hours = 336",
        "[hit_and_run]\nwithin_days = 3",
        "[hit_and_run]\nwarn_before_days = 14",
    ];
    for text in table {
        let policy = Policy::parse(text);
        assert!(policy.is_ok(), "{text}: {policy:?}");
    }
}

#[test]
fn windows_that_meet_do_not_overlap() {
    let text = "
        [[windows]]
        starts_at = 2026-12-24T00:00:00Z
        ends_at = 2026-12-25T00:00:00Z
        [[windows]]
        starts_at = 2026-12-25T00:00:00Z
        [[windows]]
        user = 1
        starts_at = 2026-12-24T00:00:00Z
        [[windows]]
        user = 2
        starts_at = 2026-12-24T00:00:00Z
    ";
    let windows = Policy::parse(text).map(|policy| policy.windows.len());
    assert_eq!(windows, Ok(4));
}

#[test]
fn lists_end_somewhere() {
    let text = format!("shop = [{}]", "{},".repeat(MOST_ITEMS + 1));
    let error = Policy::parse(&text).expect_err("too many").to_string();
    assert_eq!(error, "line 1: shop: 101 of them are more than 100");
}

proptest! {
    /// Whatever stands where a value should: read, or refused with a line that there is.
    #[test]
    fn no_value_is_too_odd(which in any::<Index>(), value in odd_value()) {
        let lines: Vec<&str> = Policy::DEFAULT_TOML.lines().collect();
        let keys = lines.iter().filter(|line| !line.starts_with('#') && line.contains(" = "));
        let line = which.get(&keys.collect::<Vec<_>>()).to_owned();
        let (key, _) = line.split_once(" = ").expect("a key");
        let text = Policy::DEFAULT_TOML.replace(line, &format!("{key} = {value}"));
        if let Err(error) = Policy::parse(&text) {
            prop_assert!((1..=lines.len() + 1).contains(&error.line), "{}", error);
        }
    }
}

fn odd_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i128>().prop_map(|number| number.to_string()),
        (-1..2000_i32).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        "\"[0-9]{0,25} ?([KMGTPE]iB|B|GB|é)?\"",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](Z|[+-][0-2][0-9]:00)",
        "\\PC{0,20}",
        Just("{ a = 1 }".to_owned()),
        Just("[[1], 2]".to_owned()),
    ]
}
