//! Kinds of people.

pub(crate) use crate::caller::{Answer, Caller, PASSWORD};
use serde_json::json;

use crate::site::{Database, Server, Site};

/// Lets newbies ask for as much as they like: tests ask again and again until something has happened.
pub(crate) const PATIENT: &str = "
[classes.newbie]
requests_per_minute = 0
[classes.member]
requests_per_minute = 0
[classes.trusted]
requests_per_minute = 0
[classes.elite]
requests_per_minute = 0
";

/// A site whose members ask for as much as they like.
pub(crate) fn patient_site(database: Database) -> Site {
    let site = Site::new(database);
    site.write("economy.toml", PATIENT);
    site.write("config.toml", "[credits]\npolicy = \"economy.toml\"\n");
    site
}

/// A running site and its API.
pub(crate) struct Club {
    pub(crate) site: Site,
    pub(crate) server: Server,
}

impl Club {
    /// Without a limit of requests.
    pub(crate) fn open(database: Database) -> Self {
        Self::open_with(database, &[("PURSER__API__REQUESTS_PER_MINUTE", "0")])
    }

    pub(crate) fn open_with(database: Database, env: &[(&str, &str)]) -> Self {
        let site = patient_site(database);
        let server = site.start_with("serve", env);
        Self { site, server }
    }

    pub(crate) fn anonymous(&self) -> Caller {
        Caller::at(&self.server)
    }

    /// The administrator of the first start.
    pub(crate) fn admin(&self) -> Caller {
        let password = self.server.banner["first_start"]["password"].as_str();
        self.anonymous().logged_in("admin", password.unwrap())
    }

    /// Somebody who came by an invite code of the operator's.
    pub(crate) fn member(&self, name: &str) -> Caller {
        let code = self.site.run("create-invite");
        let answer = self.anonymous().register(name, &code);
        assert_eq!(answer.status, 201, "{answer:?}");
        self.anonymous().logged_in(name, PASSWORD)
    }

    /// A member who moderates.
    pub(crate) fn staff(&self, name: &str) -> Caller {
        let staff = self.member(name);
        self.set_role(name, "staff");
        staff
    }

    pub(crate) fn set_role(&self, name: &str, role: &str) {
        let rows: Vec<(i64,)> = self.site.rows(&format!(
            "update users set role = '{role}' where username_key = '{name}' returning id"
        ));
        assert_eq!(rows.len(), 1);
    }

    /// The same, who may do more.
    pub(crate) fn somebody(&self, name: &str, role: store::UserRole) -> Caller {
        let caller = self.member(name);
        self.set_role(name, &format!("{role:?}").to_lowercase());
        caller
    }
}

impl Caller {
    pub(crate) fn at(server: &Server) -> Self {
        let url = server.banner["api"].as_str().unwrap();
        Self::to(url.split('/').nth(2).unwrap())
    }

    /// The same, with an API key that may do that.
    pub(crate) fn bot(&self, scopes: &[&str]) -> Self {
        let body = json!({ "label": "bot", "scopes": scopes });
        let made = self.post("/api/user/api-keys/", body);
        assert_eq!(made.status, 201, "{made:?}");
        self.with(made.json()["api_key"].as_str().unwrap())
    }
}
