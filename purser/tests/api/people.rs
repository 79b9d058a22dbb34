//! Kinds of people, and how they call.

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Request, Response};

use crate::site::{Database, Server, Site};

/// Everybody's password here.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running site and its API.
pub(crate) struct Club {
    pub(crate) site: Site,
    pub(crate) server: Server,
}

/// Somebody who calls, with or without something to show.
#[derive(Clone)]
pub(crate) struct Caller {
    agent: Agent,
    base: String,
    pub(crate) bearer: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Response<()>,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
}

impl Club {
    pub(crate) fn open(database: Database) -> Self {
        Self::open_with(database, &[])
    }

    pub(crate) fn open_with(database: Database, env: &[(&str, &str)]) -> Self {
        let site = Site::new(database);
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
        let authority = url.split('/').nth(2).unwrap();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .build();
        Self {
            agent: agent.into(),
            base: format!("http://{authority}"),
            bearer: None,
        }
    }

    pub(crate) fn with(&self, bearer: &str) -> Self {
        Self {
            bearer: Some(bearer.to_owned()),
            ..self.clone()
        }
    }

    /// The same, with an API key that may do that.
    pub(crate) fn bot(&self, scopes: &[&str]) -> Self {
        let body = json!({ "label": "bot", "scopes": scopes });
        let made = self.post("/api/user/api-keys/", body);
        assert_eq!(made.status, 201, "{made:?}");
        self.with(made.json()["api_key"].as_str().unwrap())
    }

    /// Their number.
    pub(crate) fn id(&self) -> u64 {
        let profile = self.get("/api/user/profile/").json();
        profile["id"].as_u64().unwrap()
    }

    pub(crate) fn register(&self, name: &str, code: &str) -> Answer {
        let body = json!({
            "username": name,
            "email": format!("{name}@example.org"),
            "password": PASSWORD,
            "invite_code": code,
        });
        self.post("/api/auth/register/", body)
    }

    pub(crate) fn log_in(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "username": name, "password": password });
        self.post("/api/auth/login/", body)
    }

    pub(crate) fn logged_in(&self, name: &str, password: &str) -> Self {
        let answer = self.log_in(name, password);
        assert_eq!(answer.status, 200, "{answer:?}");
        self.with(answer.json()["access"].as_str().unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Vec::new())
    }

    /// Every row of a list, page by page. The path has a `?` already.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{cursor}"));
            assert_eq!(page.status, 200, "{page:?}");
            let page = page.json();
            rows.extend(page["results"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], Vec::new())
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body)
    }

    pub(crate) fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, body)
    }

    fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.call(method, path, &json, body.to_string().into_bytes())
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let response = self.agent.run(request.body(body).unwrap()).unwrap();
        let (head, mut body) = response.into_parts();
        let bytes = body.read_to_vec().unwrap();
        Answer {
            status: head.status.as_u16(),
            head: Response::from_parts(head, ()),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.head.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// A refusal of that status and kind, as RFC 9457 has them.
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        problem
    }

    /// A refusal that names these fields, in this order.
    pub(crate) fn minds(&self, fields: &[&str]) {
        let problem = self.is_problem(422, "invalid");
        let errors = problem["errors"].as_array().unwrap();
        let named: Vec<_> = errors
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{problem}");
    }
}
