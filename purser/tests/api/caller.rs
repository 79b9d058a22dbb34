//! Somebody who calls the API, and what comes back.

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Request, Response};

/// Everybody's password here.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Somebody who calls, with or without something to show.
#[derive(Clone)]
pub(crate) struct Caller {
    agent: Agent,
    pub(crate) base: String,
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

impl Caller {
    /// At the host and port where an API listens.
    pub(crate) fn to(authority: &str) -> Self {
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

    /// Uploads a torrent.
    pub(crate) fn form(&self, fields: &[(&str, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            let file = if *name == "file" {
                "; filename=\"a.torrent\""
            } else {
                ""
            };
            body.extend(
                format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
                    .bytes(),
            );
            body.extend_from_slice(value);
            body.extend(b"\r\n");
        }
        body.extend(b"--XX--\r\n");
        let kind = [("content-type", "multipart/form-data; boundary=XX")];
        self.call("POST", "/api/torrents/", &kind, body)
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
