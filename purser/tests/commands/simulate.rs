//! Policies tried on a small history: two members, one torrent, two days.

use serde_json::Value;

use crate::members::execute;
use crate::sandbox::Sandbox;

/// Ann uploads a GiB in the first hour and one in the last; bob downloads both, and seeds for a day.
fn site() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.good("create-user --username ann");
    sandbox.good("create-user --username bob");
    execute(&sandbox, "update users set created_at = 1700000000");
    execute(
        &sandbox,
        "insert into torrents (id, info_hash, name, size, piece_length, file_count, private, status, created_at)
        values (1, x'0000000000000000000000000000000000000001', 'holiday', 107374182400, 1, 1, true, 'open', 1700000000)",
    );
    // 2026-01-01T00 is hour 490896.
    execute(
        &sandbox,
        "insert into traffic (
            user_id, torrent_id, hour, class, uploaded, downloaded, counted_uploaded, counted_downloaded)
        values (1, 1, 490896, 'newbie', 1073741824, 0, 107374182400, 0),
            (2, 1, 490896, 'newbie', 0, 1073741824, 0, 107374182400),
            (1, 1, 490943, 'newbie', 1073741824, 0, 107374182400, 0),
            (2, 1, 490943, 'newbie', 0, 1073741824, 0, 107374182400)",
    );
    execute(
        &sandbox,
        "insert into sessions (
            user_id, torrent_id, uploaded, downloaded, credited_uploaded, credited_downloaded, bytes_left, started_at,
            announced_at, written_by, active, peer_id, role, seeded_secs)
        values (2, 1, 0, 0, 0, 0, 0, 1767225600, 1767312000, 1, true, x'0000000000000000000000000000000000000002',
            'seeder', 86400)",
    );
    sandbox
}

fn json(sandbox: &Sandbox, args: &str) -> Value {
    serde_json::from_str(&sandbox.good(&format!("--json simulate {args}"))).unwrap()
}

#[test]
fn simulate_with_the_policy_in_effect_finds_no_gain_and_no_loss() {
    let sandbox = site();
    sandbox.write("same.toml", "");
    let told = sandbox.good("simulate --policy same.toml");
    assert!(
        told.starts_with("2026-01-01T00:00:00Z to 2026-01-03T00:00:00Z (2 days, 0 hours)\n"),
        "{told}"
    );
    let nobody = "gain: 0, lose: 0, class changes: 0, newly warned: 0, no longer warned: 0";
    assert!(told.lines().any(|line| line == nobody), "{told}");
    assert!(!told.contains("gain most"), "{told}");
    assert!(told.contains("isn't recorded by the hour"), "{told}");
    let row = |name: &str| {
        let line = told.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .rev()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("earned by uploading"), ["2.000", "2.000"]);
    assert_eq!(told, sandbox.good("simulate --policy same.toml"));
}

#[test]
fn simulate_says_who_gains_and_who_loses() {
    let sandbox = site();
    sandbox.write(
        "other.toml",
        "[earning]\nupload_milli_per_gib = 3000\n[seeding]\nbase_milli_per_hour = 0\n[classes.member]\nmin_uploaded = \"1 GiB\"\n",
    );
    let told = sandbox.good("simulate --policy other.toml");
    let counts = "gain: 1, lose: 1, class changes: 1, newly warned: 0, no longer warned: 0";
    assert!(told.lines().any(|line| line == counts), "{told}");
    let after = |title: &str| {
        let mut lines = told.lines().skip_while(|line| !line.starts_with(title));
        lines.nth(1).unwrap().to_owned()
    };
    let gains = after("gain most");
    assert!(gains.starts_with("ann ") && gains.contains("2.000") && gains.contains("6.000"));
    assert!(gains.contains("newbie -> member"), "{gains}");
    let loses = after("lose most");
    assert!(
        loses.starts_with("bob ") && loses.contains(" 0.000"),
        "{loses}"
    );

    let all = json(&sandbox, "--policy other.toml");
    assert_eq!(all["days"]["tried"].as_array().unwrap().len(), 2);
    let [ann, bob] = [&all["members"][0], &all["members"][1]];
    assert_eq!(ann["username"], "ann");
    assert_eq!(ann["in_effect"]["balance_milli"], 2000);
    assert_eq!(ann["tried"]["balance_milli"], 6000);
    assert_eq!(ann["tried"]["class_changes"][0]["class"], "member");
    assert_eq!(bob["tried"]["balance_milli"], 0);
    let supply = |run: &str| all["days"][run][1]["supply_milli"].as_i64().unwrap();
    let balance = |run: &str, member: &Value| member[run]["balance_milli"].as_i64().unwrap();
    for run in ["in_effect", "tried"] {
        assert_eq!(supply(run), balance(run, ann) + balance(run, bob));
    }
}

#[test]
fn simulate_takes_a_part_of_the_time_and_the_windows_of_the_file() {
    let sandbox = site();
    sandbox.write(
        "double.toml",
        "[[windows]]\nupload_percent = 200\nstarts_at = 2026-01-02T00:00:00Z\n",
    );
    let ann = |args: &str| {
        let all = json(&sandbox, &format!("--policy double.toml {args}"));
        all["members"][0]["tried"]["balance_milli"].clone()
    };
    assert_eq!(ann(""), 3000);
    assert_eq!(ann("--to 2026-01-02"), 1000);
    assert_eq!(ann("--from 2026-01-02T12:00:00Z --to 2030-01-01"), 2000);
}

#[test]
fn simulate_draws_both() {
    let sandbox = site();
    sandbox.write("same.toml", "");
    sandbox.good("simulate --policy same.toml --plot picture.svg");
    let picture = std::fs::read_to_string(sandbox.path("picture.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("Credits in circulation") && picture.contains(">tried<"));
    let line = sandbox.bad("simulate --policy same.toml --plot no/picture.svg", 1);
    assert!(line.starts_with("can't write no/picture.svg: "), "{line}");
}

#[test]
fn simulate_says_what_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.write("good.toml", "");
    sandbox.write("bad.toml", "[earning]\nupload_milli_per_gib = \"much\"\n");
    let line = sandbox.bad("simulate --policy bad.toml", 1);
    assert!(
        line.starts_with("bad.toml:2: earning.upload_milli_per_gib"),
        "{line}"
    );
    let line = sandbox.bad("simulate --policy none.toml", 1);
    assert!(line.starts_with("can't read none.toml: "), "{line}");
    let line = sandbox.bad(
        "simulate --policy good.toml --from 2026-01-02 --to 2026-01-02",
        2,
    );
    assert!(line.starts_with("--from is not before --to"), "{line}");
    let line = sandbox.bad("simulate --policy good.toml --from 2026-01-02T10:00:00", 2);
    assert!(
        line.contains("2026-11-24T16:00:00Z or 2026-11-24"),
        "{line}"
    );
    sandbox.good("create-user --username ann");
    let line = sandbox.bad("simulate --policy good.toml", 1);
    assert_eq!(line, "there is no recorded traffic to simulate over");

    let sandbox = site();
    sandbox.write("good.toml", "");
    let line = sandbox.bad("simulate --policy good.toml --from 2027-01-01", 1);
    assert_eq!(
        line,
        "there is no recorded traffic in this time: it goes from 2026-01-01T00:00:00Z to 2026-01-03T00:00:00Z"
    );
}
