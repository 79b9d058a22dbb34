//! A request in, a reply out: which URL form it is, who it is from, and what the tracker says.
//!
//! Always `200 OK` with bencode: torrent clients show a `failure reason` to their user, and a status code to nobody.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};

use super::connection::Activity;
use super::rest::AtRest;
use crate::gate::Client;
use crate::outbox::Round;
use crate::proxy::client_ip;
use crate::refusal::Refusal;
use crate::target::{Target, target};
use crate::tracker::{Scratch, Tracker, refuse};

pub(crate) struct Service {
    tracker: Arc<Tracker>,
    at_rest: Arc<AtRest>,
    scratch: RefCell<Scratch>,
}

/// A reply: there already, as nearly all are, or once its record is in the journal.
pub(crate) enum Reply {
    Ready(Option<Response<Full<Bytes>>>),
    Promised(Pin<Box<dyn Future<Output = Response<Full<Bytes>>>>>),
}

impl Future for Reply {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Ready(reply) => Poll::Ready(Ok(reply.take().unwrap_or_default())),
            Self::Promised(reply) => reply.as_mut().poll(context).map(Ok),
        }
    }
}

impl Service {
    pub(crate) fn new(tracker: Arc<Tracker>, at_rest: Arc<AtRest>) -> Self {
        Self {
            tracker,
            at_rest,
            scratch: RefCell::default(),
        }
    }

    /// Answers a request.
    pub(crate) fn serve(
        self: &Rc<Self>,
        mut request: Request<Incoming>,
        socket: IpAddr,
        activity: &Rc<Activity>,
    ) -> Reply {
        activity.answered();
        let (mut reply, after) = self.reply(&mut request, socket, activity.is_draining());
        let Some(round) = after else {
            return Reply::Ready(Some(reply));
        };
        activity.waits();
        let (service, activity) = (Rc::clone(self), Rc::clone(activity));
        Reply::Promised(Box::pin(async move {
            if service.tracker.outbox.journalled(round).await.is_err() {
                service.take_back(&mut reply);
            }
            activity.answered();
            reply
        }))
    }

    /// What goes out, and the round that has to be in the journal before it does.
    fn reply(
        &self,
        request: &mut Request<Incoming>,
        socket: IpAddr,
        close: bool,
    ) -> (Response<Full<Bytes>>, Option<Round>) {
        self.at_rest.turn();
        if request.method() == Method::CONNECT {
            // A success would promise a tunnel (RFC 9110, section 9.3.6).
            let mut reply = Response::default();
            *reply.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return (reply, None);
        }
        let scratch = &mut *self.scratch.borrow_mut();
        let after = self.answer(request, socket, scratch);
        // The request's map has room already.
        let mut headers = std::mem::take(request.headers_mut());
        headers.clear();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut reply = Response::new(Full::new(Bytes::copy_from_slice(&scratch.body)));
        *reply.headers_mut() = headers;
        (reply, after)
    }

    fn answer(
        &self,
        request: &Request<Incoming>,
        socket: IpAddr,
        scratch: &mut Scratch,
    ) -> Option<Round> {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default().as_bytes();
        let target = match (request.method(), target(uri.path().as_bytes())) {
            (&Method::GET, Some(target)) => target,
            // Safe by definition (RFC 9110, section 9.3.2): nothing is counted, and hyper leaves the body out.
            (&Method::HEAD, _) => {
                scratch.body.clear();
                return None;
            }
            (&Method::GET, None) => return self.refuse(scratch, Refusal::NotAnAnnounceUrl),
            _ => return self.refuse(scratch, Refusal::NotGet),
        };
        let now = self.at_rest.now();
        match target {
            Target::Announce(key) => {
                let begun = self.at_rest.counts.begin();
                let from = self.client(request.headers(), socket);
                let announced = self.tracker.announce_unrung(key, query, from, now, scratch);
                let took = begun.map(|begun| begun.elapsed());
                self.at_rest.announced(&announced, took);
                announced.after
            }
            Target::Scrape(key) => {
                let outcome = self.tracker.scrape(key, query, now, scratch);
                self.at_rest.counts.scraped(outcome);
                None
            }
        }
    }

    fn client<'a>(&self, headers: &'a HeaderMap, socket: IpAddr) -> Client<'a> {
        let user_agent = match self.tracker.gate.asks_user_agents() {
            false => None,
            true => headers.get(USER_AGENT),
        };
        Client {
            ip: client_ip(headers, socket, &self.tracker.settings.load()),
            user_agent: user_agent.map_or(&[], HeaderValue::as_bytes),
        }
    }

    fn refuse(&self, scratch: &mut Scratch, refusal: Refusal) -> Option<Round> {
        self.at_rest.counts.refused(refuse(scratch, refusal));
        None
    }

    /// A promise that can't be kept now: the announce was taken, but might not survive a crash. A client that hears
    /// this says it again, which does no harm.
    fn take_back(&self, reply: &mut Response<Full<Bytes>>) {
        let scratch = &mut *self.scratch.borrow_mut();
        self.refuse(scratch, Refusal::Busy);
        *reply.body_mut() = Full::new(Bytes::copy_from_slice(&scratch.body));
    }
}
