//! Invite codes of members, and who brought whom.

use serde_json::json;

use crate::people::{Caller, Club};
use crate::site::Database;

on_both_databases!(
    a_member_invites_as_many_as_they_may,
    a_revoked_code_is_no_longer_good_and_its_allowance_comes_back,
    of_many_posts_with_one_left_one_succeeds,
    wrong_invites_are_refused,
    invites_come_in_pages_newest_first,
    the_tree_shows_who_brought_whom,
    a_deep_tree_is_cut,
);

impl Club {
    /// What nobody has over HTTP yet: so many invites.
    fn allow(&self, name: &str, invites: u32) {
        let rows: Vec<(i64,)> = self.site.rows(&format!(
            "update users set invites = {invites} where username_key = '{name}' returning id"
        ));
        assert_eq!(rows.len(), 1);
    }

    fn brought_by(&self, inviter: &Caller, name: &str) -> Caller {
        let code = invite(inviter);
        assert_eq!(self.anonymous().register(name, &code).status, 201);
        self.anonymous().logged_in(name, crate::people::PASSWORD)
    }
}

fn invite(caller: &Caller) -> String {
    let made = caller.post("/api/user/invites/", json!({}));
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["code"].as_str().unwrap().to_owned()
}

fn left(caller: &Caller) -> u64 {
    caller.get("/api/user/profile/").json()["invites"]
        .as_u64()
        .unwrap()
}

fn a_member_invites_as_many_as_they_may(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let none = ann.post("/api/user/invites/", json!({}));
    none.is_problem(409, "conflict");
    club.allow("ann", 1);
    let made = ann.post("/api/user/invites/", json!({ "expires_in": 3600 }));
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!(made["status"], "open");
    assert!(made["expires_at"].is_string() && made["used_by"].is_null());
    assert_eq!(left(&ann), 0);
    let listed = ann.get("/api/user/invites/").json();
    assert_eq!(listed["results"], json!([made]));

    let code = made["code"].as_str().unwrap();
    assert_eq!(club.anonymous().register("Bob", code).status, 201);
    let used = &ann.get("/api/user/invites/").json()["results"][0];
    assert_eq!(
        (&used["status"], &used["used_by"]),
        (&json!("used"), &json!("Bob"))
    );
    assert!(used["used_at"].is_string());
    ann.delete(&format!("/api/user/invites/{code}/"))
        .is_problem(409, "conflict");
    assert_eq!(left(&ann), 0);
    // Who may do more needs no allowance.
    invite(&club.admin());
    assert_eq!(left(&club.admin()), 0);
}

fn a_revoked_code_is_no_longer_good_and_its_allowance_comes_back(database: Database) {
    let club = Club::open(database);
    let (ann, bob, admin) = (club.member("ann"), club.member("bob"), club.admin());
    club.allow("ann", 1);
    let code = invite(&ann);
    let path = format!("/api/user/invites/{code}/");
    for other in [&bob, &admin] {
        other.delete(&path).is_problem(404, "not-found");
    }
    assert_eq!(ann.delete(&path).status, 204);
    assert_eq!(left(&ann), 1);
    club.anonymous()
        .register("carol", &code)
        .minds(&["invite_code"]);
    ann.delete(&path).is_problem(409, "conflict");
    assert_eq!(left(&ann), 1);
    let listed = ann.get("/api/user/invites/").json();
    assert_eq!(listed["results"][0]["status"], "revoked");
    // What took nothing gives nothing back.
    let code = invite(&admin);
    assert_eq!(
        admin.delete(&format!("/api/user/invites/{code}/")).status,
        204
    );
    assert_eq!(left(&admin), 0);
}

fn of_many_posts_with_one_left_one_succeeds(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    club.allow("ann", 1);
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| ann.post("/api/user/invites/", json!({})).status))
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
    assert_eq!(left(&ann), 0);
}

fn wrong_invites_are_refused(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    club.allow("ann", 1);
    let ask = |body| ann.post("/api/user/invites/", body);
    ask(json!({ "expires_in": 0 })).minds(&["expires_in"]);
    ask(json!({ "expires_in": u32::MAX })).minds(&["expires_in"]);
    ask(json!({ "count": 2 })).minds(&["count"]);
    assert_eq!(left(&ann), 1);
    for nothing in ["nothing", "%00", "a%20b", "%C3%BC"] {
        ann.delete(&format!("/api/user/invites/{nothing}/"))
            .is_problem(404, "not-found");
    }
    let anonymous = club.anonymous();
    for path in [
        "/api/user/invites/",
        "/api/user/invite-tree/",
        "/api/admin/users/1/invite-tree/",
    ] {
        anonymous.get(path).is_problem(401, "unauthenticated");
    }
    // An expired one says so, and lets nobody in.
    let code = invite(&ann);
    let _: Vec<(i64,)> = club
        .site
        .rows("update invites set expires_at = 1 returning id");
    let listed = ann.get("/api/user/invites/").json();
    assert_eq!(listed["results"][0]["status"], "expired");
    anonymous.register("bob", &code).minds(&["invite_code"]);
    assert_eq!(
        ann.delete(&format!("/api/user/invites/{code}/")).status,
        204
    );
    assert_eq!(left(&ann), 1);
}

fn invites_come_in_pages_newest_first(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let mut made: Vec<_> = (0..5).map(|_| invite(&admin)).collect();
    made.reverse();
    let listed = admin.all("/api/user/invites/?limit=2");
    let listed: Vec<_> = listed
        .iter()
        .map(|row| row["code"].as_str().unwrap())
        .collect();
    assert_eq!(listed, made);
    admin.get("/api/user/invites/?cursor=x").minds(&["cursor"]);
}

fn the_tree_shows_who_brought_whom(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    let ann = club.brought_by(&admin, "ann");
    club.allow("ann", 2);
    let bob = club.brought_by(&ann, "bob");
    club.brought_by(&ann, "carol");
    club.allow("bob", 1);
    club.brought_by(&bob, "dave");
    let tree = ann.get("/api/user/invite-tree/").json();
    assert_eq!(tree["is_cut"], false);
    let names = |nodes: &serde_json::Value| -> Vec<String> {
        let nodes = nodes.as_array().unwrap().iter();
        nodes
            .map(|node| node["username"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&tree["invited"]), ["bob", "carol"]);
    assert_eq!(names(&tree["invited"][0]["invited"]), ["dave"]);
    assert_eq!(tree["invited"][1]["invited"], json!([]));
    let above = admin.get("/api/user/invite-tree/").json();
    assert_eq!(above["invited"][0]["invited"], tree["invited"]);

    let id = ann.get("/api/user/profile/").json()["id"].clone();
    let path = format!("/api/admin/users/{id}/invite-tree/");
    assert_eq!(admin.get(&path).json(), tree);
    bob.get(&path).is_problem(403, "forbidden");
    admin
        .get("/api/admin/users/999/invite-tree/")
        .is_problem(404, "not-found");
}

fn a_deep_tree_is_cut(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let id = ann.get("/api/user/profile/").json()["id"].as_u64().unwrap();
    let insert = |number: u64, inviter: u64| {
        let rows: Vec<(i64,)> = club.site.rows(&format!(
            "insert into users (username, username_key, role, created_at, invited_by)
             values ('u{number}', 'u{number}', 'member', 1, {inviter}) returning id"
        ));
        u64::try_from(rows[0].0).unwrap()
    };
    let mut last = id;
    for number in 0..10 {
        last = insert(number, last);
    }
    assert_eq!(ann.get("/api/user/invite-tree/").json()["is_cut"], false);
    insert(10, last);
    let tree = ann.get("/api/user/invite-tree/").json();
    assert_eq!(tree["is_cut"], true);
    let mut nodes = &tree["invited"];
    let mut depth = 0;
    while let Some(node) = nodes.get(0) {
        depth += 1;
        nodes = &node["invited"];
    }
    assert_eq!(depth, 10);
    // Many on one level: the first thousand.
    let _: Vec<(i64,)> = club.site.rows(&format!(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 1200)
         insert into users (username, username_key, role, created_at, invited_by)
         select 'w' || i, 'w' || i, 'member', 1, {id} from n returning id"
    ));
    let tree = ann.get("/api/user/invite-tree/").json();
    assert_eq!(tree["is_cut"], true);
    assert_eq!(tree["invited"].as_array().unwrap().len(), 1000);
}
