//! Lists of torrents: what is in them, in which order, and that none of them reads the whole table.

use store::{Category, Listed, NewTorrent, Sight, Sort, TorrentEdit, TorrentQuery};
use tracker_core::ids::{InfoHash, UserId};
use tracker_core::registry::TorrentStatus;

use crate::harness::{Database, NOW, new_torrent};

on_both_databases!(
    no_list_reads_the_whole_table,
    pages_go_on_where_the_last_one_ended,
    a_search_finds_all_words_and_the_beginning_of_the_last,
    everybody_sees_what_is_theirs_to_see,
    a_change_leaves_what_it_does_not_name,
    the_token_that_lasts_longest_is_found_or_a_fresh_one,
);

const SORTS: [Sort; 7] = [
    Sort::Newest,
    Sort::Oldest,
    Sort::Largest,
    Sort::Smallest,
    Sort::MostSeeders,
    Sort::MostSnatches,
    Sort::MostPeers,
];

pub(crate) const ALL: TorrentQuery = TorrentQuery {
    sight: Sight::Staff(None),
    search: String::new(),
    categories: Vec::new(),
    uploader: None,
    sort: Sort::Newest,
    after: None,
    skip: 0,
    limit: 51,
};

fn numbered(number: u32) -> NewTorrent {
    let mut hash = [7; 20];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    NewTorrent {
        info_hash: InfoHash(hash),
        name: format!("Some.Thing.{number}.x264"),
        size: u64::from(number % 5),
        category: Category::ALL[number as usize % Category::ALL.len()],
        files: Vec::new(),
        ..new_torrent(1)
    }
}

async fn names(db: &Database, query: &TorrentQuery) -> Vec<String> {
    let rows = db.store.list_torrents(query).await.unwrap();
    rows.into_iter().map(|row| row.name).collect()
}

/// Thousands of rows that look like a site's, without a transaction each.
async fn fill(db: &Database, rows: u32) {
    let is_sqlite = db.url.starts_with("sqlite");
    let (series, hash) = match is_sqlite {
        true => (
            "with recursive series (n) as (select 1 union all select n + 1 from series where n < ROWS)",
            "unhex(printf('%040x', n))",
        ),
        false => (
            "with series (n) as (select generate_series(1, ROWS))",
            "decode(lpad(to_hex(n), 40, '0'), 'hex')",
        ),
    };
    let series = series.replace("ROWS", &rows.to_string());
    let private = if is_sqlite { "1" } else { "true" };
    let (insert_at, select_at) = ("insert into torrents (info_hash, name, size, piece_length, file_count, private, status, uploader_id, seeders, leechers, completed, category, created_at, description)",
        format!("select {hash}, 'Some.Thing.' || n || '.word' || (n % 50), n * 7919 % 100003, 16384, 1, {private},
            case when n % 40 = 0 then 'pending' when n % 41 = 0 then 'closed' else 'open' end,
            1 + n % 20, n * 31 % 997, n * 17 % 101, n * 13 % 499,
            case n % 5 when 0 then 'tv' when 1 then 'music' when 2 then 'other' else 'movies' end, 1800000000, '{}'
            from series", "What it is about. ".repeat(30)));
    for user in 0..20 {
        db.user(&format!("user{user}")).await;
    }
    let statement = match is_sqlite {
        true => format!("{insert_at} {series} {select_at}"),
        false => format!("{series} {insert_at} {select_at}"),
    };
    db.execute(&statement).await;
    // Postgres tidies what was written to the index of words, too.
    let analyze = if is_sqlite {
        "analyze"
    } else {
        "vacuum analyze"
    };
    db.execute(analyze).await;
}

async fn no_list_reads_the_whole_table(db: Database) {
    fill(&db, 10_000).await;
    let sights = [
        Sight::Open,
        Sight::Member(UserId(3)),
        Sight::Staff(None),
        Sight::Staff(Some(TorrentStatus::Open)),
        Sight::Staff(Some(TorrentStatus::Pending)),
        Sight::Staff(Some(TorrentStatus::Closed)),
    ];
    let mut wrong = Vec::new();
    for sight in sights {
        for sort in SORTS {
            // Only the popular ones go by peers, and they are open and the first.
            if sort == Sort::MostPeers && sight != Sight::Open {
                continue;
            }
            for (categories, uploader, search) in [
                (&[][..], None, ""),
                (&[Category::Tv], None, ""),
                (&[Category::Xxx], None, ""),
                (&[Category::Tv, Category::Anime], None, ""),
                (&[], Some(UserId(5)), ""),
                (&[Category::Movies], Some(UserId(5)), ""),
                (&[], None, "some thing"),
                (&[], None, "word7"),
                (&[Category::Tv, Category::Anime], None, "some thing"),
                (&[Category::Movies], Some(UserId(5)), "some wor"),
            ] {
                let is_plain = categories.is_empty() && uploader.is_none() && search.is_empty();
                if sort == Sort::MostPeers && !is_plain {
                    continue;
                }
                for after in [None, Some([500, 3000])] {
                    let query = TorrentQuery {
                        sight,
                        search: search.to_owned(),
                        categories: categories.to_vec(),
                        uploader,
                        sort,
                        after,
                        skip: 0,
                        limit: 51,
                    };
                    let plan = db.store.explain_torrents(&query).await.unwrap();
                    let is_whole = |line: &String| {
                        let line = line.trim();
                        line.contains("Seq Scan on torrents")
                            || (line.starts_with("SCAN torrents") && !line.contains("INDEX"))
                    };
                    if plan.is_empty() || plan.iter().any(is_whole) {
                        wrong.push(format!("{query:?}: {plan:#?}"));
                    }
                    // The whole table may not be sorted either.
                    let sorts =
                        |line: &String| line.contains("Sort") || line.contains("TEMP B-TREE");
                    if is_plain
                        && after.is_none()
                        && matches!(sight, Sight::Open | Sight::Member(_) | Sight::Staff(None))
                        && plan.iter().any(sorts)
                    {
                        wrong.push(format!("sorted: {query:?}: {plan:#?}"));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong plans: {}",
        wrong.len(),
        wrong[0]
    );
}

async fn pages_go_on_where_the_last_one_ended(db: Database) {
    for number in 1..=23 {
        db.store.add_torrent(&numbered(number)).await.unwrap();
    }
    db.execute("update torrents set seeders = id % 3, leechers = id % 2, completed = id % 4")
        .await;
    for sort in SORTS {
        let whole = TorrentQuery { sort, ..ALL };
        let whole = db.store.list_torrents(&whole).await.unwrap();
        assert_eq!(whole.len(), 23);
        let by = |row: &Listed| match sort {
            Sort::Newest => (-i64::from(row.id.0), 0),
            Sort::Oldest => (row.id.0.into(), 0),
            Sort::Largest => (-(row.size as i64), -i64::from(row.id.0)),
            Sort::Smallest => (row.size as i64, row.id.0.into()),
            Sort::MostSeeders => (-(row.seeders as i64), -i64::from(row.id.0)),
            Sort::MostSnatches => (-(row.completed as i64), -i64::from(row.id.0)),
            Sort::MostPeers => (-((row.seeders + row.leechers) as i64), -i64::from(row.id.0)),
        };
        assert!(whole.is_sorted_by_key(by), "{sort:?}");
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let query = TorrentQuery {
                sort,
                after,
                limit: 4,
                ..ALL
            };
            let page = db.store.list_torrents(&query).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key(sort));
            pages.extend(page);
        }
        assert_eq!(pages, whole, "{sort:?}");
        // Of several categories, and by skipping what came before.
        let categories = vec![Category::Tv, Category::Anime, Category::Other];
        let mut pages = Vec::new();
        for skip in (0..).step_by(4) {
            let query = TorrentQuery {
                categories: categories.clone(),
                sort,
                skip,
                limit: 4,
                ..ALL
            };
            let page = db.store.list_torrents(&query).await.unwrap();
            if page.is_empty() {
                break;
            }
            pages.extend(page);
        }
        let theirs = |row: &&Listed| categories.contains(&row.category);
        let wanted: Vec<_> = whole.iter().filter(theirs).cloned().collect();
        assert!(wanted.len() > 4);
        assert_eq!(pages, wanted, "{sort:?}");
    }
}

async fn a_search_finds_all_words_and_the_beginning_of_the_last(db: Database) {
    for (byte, name) in [
        (1, "The.Quick.Brown.Fox.2024.1080p-GRP"),
        (2, "quick [brown] dogs (1999)"),
        (3, "Slow_Brown_Fox"),
        (4, "東京 物語"),
    ] {
        let new = NewTorrent {
            name: name.to_owned(),
            ..new_torrent(byte)
        };
        db.store.add_torrent(&new).await.unwrap();
    }
    for (search, found) in [
        ("quick", &[2, 1][..]),
        ("QUICK brown", &[2, 1]),
        ("brown-quick", &[2, 1]),
        ("bro fox", &[]),
        ("fox bro", &[3, 1]),
        ("brown fo", &[3, 1]),
        ("1080", &[1]),
        ("1080p grp", &[1]),
        ("東京", &[4]),
        ("nothing", &[]),
        ("\"quick", &[2, 1]),
        ("quick OR slow", &[]),
        ("quick AND NOT brown", &[]),
        ("fox:* | dogs", &[]),
        ("'", &[4, 3, 2, 1]),
        ("\\", &[4, 3, 2, 1]),
        ("name:quick", &[]),
        ("qui*ck", &[]),
        ("^quick", &[2, 1]),
        ("qu\0ick", &[]),
        ("", &[4, 3, 2, 1]),
    ] {
        let query = TorrentQuery {
            search: search.to_owned(),
            ..ALL
        };
        let rows = db.store.list_torrents(&query).await.unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.id.0).collect();
        assert_eq!(ids, found, "{search:?}");
    }
    let renamed = TorrentEdit {
        name: Some("Blue Whale".into()),
        ..Default::default()
    };
    let first = db.store.find_torrent(&InfoHash([1; 20])).await.unwrap();
    let first = first.unwrap().id;
    let ann = db.user("ann").await;
    let renamed = db.store.change_torrent(first, &renamed, ann, NOW);
    renamed.await.unwrap();
    for (search, found) in [("fox", 1), ("whale", 1), ("quick", 1)] {
        let query = TorrentQuery {
            search: search.to_owned(),
            ..ALL
        };
        assert_eq!(names(&db, &query).await.len(), found, "{search}");
    }
}

async fn everybody_sees_what_is_theirs_to_see(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    for (number, status, uploader) in [
        (1, TorrentStatus::Open, None),
        (2, TorrentStatus::Pending, Some(ann)),
        (3, TorrentStatus::Closed, Some(ann)),
        (4, TorrentStatus::Open, Some(bob)),
        (5, TorrentStatus::Open, Some(bob)),
    ] {
        let new = NewTorrent {
            status,
            uploader,
            ..numbered(number)
        };
        db.store.add_torrent(&new).await.unwrap();
    }
    let gone = db.store.find_torrent(&numbered(5).info_hash).await.unwrap();
    let gone = gone.unwrap().id;
    db.store.delete_torrent(gone, ann, NOW).await.unwrap();
    db.store.delete_torrent(gone, ann, NOW).await.unwrap_err();
    db.store
        .change_torrent(gone, &TorrentEdit::default(), ann, NOW)
        .await
        .unwrap_err();
    let read = db.store.torrent(gone).await.unwrap().unwrap();
    assert_eq!(read.status, TorrentStatus::Closed);
    let hash = numbered(5).info_hash;
    assert_eq!(db.store.torrent_detail(&hash).await.unwrap(), None);
    for (sight, seen) in [
        (Sight::Open, &[4, 1][..]),
        (Sight::Member(bob), &[4, 1]),
        (Sight::Member(ann), &[4, 2, 1]),
        (Sight::Staff(None), &[4, 3, 2, 1]),
        (Sight::Staff(Some(TorrentStatus::Open)), &[4, 1]),
        (Sight::Staff(Some(TorrentStatus::Pending)), &[2]),
        (Sight::Staff(Some(TorrentStatus::Closed)), &[3]),
    ] {
        for search in ["", "some thing"] {
            let query = TorrentQuery {
                sight,
                search: search.into(),
                ..ALL
            };
            let rows = db.store.list_torrents(&query).await.unwrap();
            let ids: Vec<_> = rows.iter().map(|row| row.id.0).collect();
            assert_eq!(ids, seen, "{sight:?}");
        }
    }
    let query = TorrentQuery {
        uploader: Some(bob),
        ..ALL
    };
    assert_eq!(names(&db, &query).await, [numbered(4).name]);
    let query = TorrentQuery {
        categories: vec![numbered(2).category],
        ..ALL
    };
    assert_eq!(names(&db, &query).await, [numbered(2).name]);
}

async fn a_change_leaves_what_it_does_not_name(db: Database) {
    let id = db.store.add_torrent(&numbered(1)).await.unwrap();
    let hash = numbered(1).info_hash;
    let ann = db.user("ann").await;
    let before = db.store.latest_change().await.unwrap();
    let edit = TorrentEdit {
        description: Some("More of it".into()),
        ..Default::default()
    };
    db.store.change_torrent(id, &edit, ann, NOW).await.unwrap();
    let edit = TorrentEdit {
        status: Some(TorrentStatus::Pending),
        category: Some(Category::Anime),
        ..Default::default()
    };
    db.store.change_torrent(id, &edit, ann, NOW).await.unwrap();
    assert_eq!(db.store.latest_change().await.unwrap().0, before.0 + 2);
    let read = db.store.torrent_detail(&hash).await.unwrap().unwrap();
    assert_eq!(read.description, "More of it");
    assert_eq!(read.listed.name, numbered(1).name);
    assert_eq!(read.listed.category, Category::Anime);
    assert_eq!(read.listed.status, TorrentStatus::Pending);
    assert_eq!(db.store.metainfo(id).await.unwrap(), numbered(1).metainfo);
}

async fn the_token_that_lasts_longest_is_found_or_a_fresh_one(db: Database) {
    let (ann, torrent) = (db.user("ann").await, db.torrent(1).await);
    let new = |label: &str, expires_at: Option<u32>| store::NewToken {
        user: ann,
        label: label.to_owned(),
        torrent: Some(torrent),
        created_at: NOW,
        expires_at: expires_at.map(tracker_core::ids::UnixTime),
    };
    let make = async |label: &str, expires_at: Option<u32>| {
        let new = new(label, expires_at);
        db.store.create_token(&new).await.unwrap()
    };
    let find = async || {
        let new = new("download", None);
        db.store.find_or_create_token(&new).await.unwrap().0
    };
    let another = make("another", None).await;
    let expired = make("download", Some(NOW.0)).await;
    let fresh = find().await;
    assert!(fresh != another && fresh != expired);
    assert_eq!(find().await, fresh);
    db.store.revoke_token(fresh, NOW).await.unwrap();
    make("download", Some(NOW.0 + 5)).await;
    let longer = make("download", Some(NOW.0 + 9)).await;
    assert_eq!(find().await, longer);
    let endless = make("download", None).await;
    assert_eq!(find().await, endless);
    db.store.revoke_token(endless, NOW).await.unwrap();
    assert_eq!(find().await, longer);
}
