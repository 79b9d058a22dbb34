//! Which networks and which torrent clients may announce. Trackers follow within two seconds; the API itself is open to
//! whoever logs in, so that no admin locks everybody out.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use store::{NewRule, Ruled, User};
use tracker_core::gate::{self, IpBlock};
use utoipa::ToSchema;

use crate::names;
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::site::Site;
use crate::time::Time;

/// A peer id has no more bytes.
const PEER_ID_MAX: usize = 20;

/// Of a User-Agent, to compare.
const USER_AGENT_MAX: usize = 200;

/// A network to block.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IpBlockRequest {
    /// A network, or one address.
    #[schema(example = "192.0.2.0/24")]
    pub cidr: String,
    /// Why: other admins read it.
    #[schema(min_length = 1, max_length = 500, example = "a cheater's hoster")]
    pub reason: String,
    /// Until when; `null`: until it is deleted.
    #[serde(default)]
    pub expires_at: Option<Time>,
}

/// A blocked network.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IpBlockView {
    /// Its number.
    pub id: i64,
    /// The network.
    #[schema(example = "192.0.2.0/24")]
    pub cidr: String,
    /// Why.
    pub reason: String,
    /// By whom.
    pub created_by: String,
    /// When.
    pub created_at: Time,
    /// Until when; `null`: until it is deleted.
    #[schema(required)]
    pub expires_at: Option<Time>,
}

/// A rule about torrent clients. Of those that fit a client, the one decides that says most of it: the longest
/// `peer_id_prefix`, and among equals the longest `user_agent`. Whom none fits may announce.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientRuleRequest {
    /// How its peer id begins (BEP 20); an empty one fits every client. This or `user_agent` must be there.
    #[serde(default)]
    #[schema(max_length = 20, example = "-UT")]
    pub peer_id_prefix: Option<String>,
    /// How its `User-Agent` begins. Over UDP there is none.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub user_agent: Option<String>,
    /// What happens to it.
    pub action: ClientAction,
    /// From when on; `null`: at once.
    #[serde(default)]
    pub from: Option<Time>,
    /// Why: members may ask.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "reports what it never sent"
    )]
    pub reason: String,
}

/// What happens to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAction {
    /// It may announce.
    Allow,
    /// It is refused.
    Deny,
}

/// A rule about torrent clients.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientRuleView {
    /// Its number.
    pub id: i64,
    /// How the client's peer id begins; empty: any.
    pub peer_id_prefix: String,
    /// How its `User-Agent` begins; empty: any, or none.
    pub user_agent: String,
    /// What happens to it.
    pub action: ClientAction,
    /// From when on; `null`: since ever.
    #[schema(required)]
    pub from: Option<Time>,
    /// Why.
    pub reason: String,
    /// By whom.
    pub created_by: String,
    /// When.
    pub created_at: Time,
}

pub(crate) async fn ip_blocks(site: &Site, paging: &Paging) -> Result<Page<IpBlockView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let rows = site.store.ip_blocks(before, limit + 1).await?;
    Ok(Page::new(rows, limit, |row| [row.id], IpBlockView::from))
}

pub(crate) async fn block(
    site: &Site,
    actor: &User,
    asked: IpBlockRequest,
) -> Result<IpBlockView, Problem> {
    let now = site.now();
    let mut wrong = Problem::INVALID;
    let net = read_net(&asked.cidr);
    if net.is_none() {
        wrong = wrong.and("cidr", "an address or a network, as 192.0.2.0/24");
    }
    if let Err(right) = names::check_reason(&asked.reason) {
        wrong = wrong.and("reason", right);
    }
    if asked.expires_at.is_some_and(|end| end.0 <= now) {
        wrong = wrong.and("expires_at", "a time to come");
    }
    let (Some(net), true) = (net, wrong.errors.is_empty()) else {
        return Err(wrong);
    };
    let rule = IpBlock {
        net,
        expires_at: asked.expires_at.map(|end| end.0),
    };
    let new = new_rule(&rule, &asked.reason, actor, now);
    let id = site.store.create_ip_block(new).await?;
    Ok(ruled(id, rule, asked.reason, actor, now)?.into())
}

pub(crate) async fn unblock(site: &Site, actor: &User, id: i64) -> Result<(), Problem> {
    let now = site.now();
    Ok(site.store.delete_ip_block(id, actor.id, now).await?)
}

pub(crate) async fn client_rules(
    site: &Site,
    paging: &Paging,
) -> Result<Page<ClientRuleView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let rows = site.store.client_rules(before, limit + 1).await?;
    Ok(Page::new(rows, limit, |row| [row.id], ClientRuleView::from))
}

pub(crate) async fn add_client_rule(
    site: &Site,
    actor: &User,
    asked: ClientRuleRequest,
) -> Result<ClientRuleView, Problem> {
    let now = site.now();
    let mut wrong = Problem::INVALID;
    if asked.peer_id_prefix.is_none() && asked.user_agent.is_none() {
        wrong = wrong.and(
            "peer_id_prefix",
            "this or user_agent; an empty one fits every client",
        );
    }
    for (field, text, max) in [
        ("peer_id_prefix", &asked.peer_id_prefix, PEER_ID_MAX),
        ("user_agent", &asked.user_agent, USER_AGENT_MAX),
    ] {
        let text = text.as_deref().unwrap_or_default();
        if text.len() > max || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            wrong = wrong.and(field, format!("at most {max} printable ASCII characters"));
        }
    }
    if let Err(right) = names::check_reason(&asked.reason) {
        wrong = wrong.and("reason", right);
    }
    wrong.unless_none()?;
    let rule = gate::ClientRule {
        peer_id_prefix: asked.peer_id_prefix.unwrap_or_default().into_bytes(),
        user_agent: asked.user_agent.unwrap_or_default().into_bytes(),
        action: asked.action.into(),
        from: asked.from.map(|from| from.0),
    };
    let new = new_rule(&rule, &asked.reason, actor, now);
    let id = site.store.create_client_rule(new).await?;
    Ok(ruled(id, rule, asked.reason, actor, now)?.into())
}

pub(crate) async fn delete_client_rule(site: &Site, actor: &User, id: i64) -> Result<(), Problem> {
    let now = site.now();
    Ok(site.store.delete_client_rule(id, actor.id, now).await?)
}

/// One address is a network of one; IPv4 inside IPv6 is IPv4.
fn read_net(text: &str) -> Option<IpNet> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical().into());
    }
    let net: IpNet = text.parse().ok()?;
    Some(match (net, net.addr().to_canonical()) {
        (IpNet::V6(net), IpAddr::V4(ip)) if net.prefix_len() >= 96 => {
            Ipv4Net::new(ip, net.prefix_len() - 96).ok()?.into()
        }
        (net, _) => net.trunc(),
    })
}

fn new_rule<'a, T>(
    rule: &'a T,
    reason: &'a str,
    actor: &User,
    at: tracker_core::ids::UnixTime,
) -> NewRule<'a, T> {
    NewRule {
        rule,
        reason,
        by: actor.id,
        at,
    }
}

fn ruled<T>(
    id: Option<i64>,
    rule: T,
    reason: String,
    actor: &User,
    created_at: tracker_core::ids::UnixTime,
) -> Result<Ruled<T>, Problem> {
    let full = format!("there are {} already: delete some", store::RULES_MAX);
    Ok(Ruled {
        id: id.ok_or_else(|| Problem::CONFLICT.detail(full))?,
        rule,
        reason,
        created_by: actor.username.clone(),
        created_at,
    })
}

impl From<Ruled<IpBlock>> for IpBlockView {
    fn from(row: Ruled<IpBlock>) -> Self {
        Self {
            id: row.id,
            cidr: row.rule.net.trunc().to_string(),
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at.into(),
            expires_at: row.rule.expires_at.map(Time),
        }
    }
}

impl From<Ruled<gate::ClientRule>> for ClientRuleView {
    fn from(row: Ruled<gate::ClientRule>) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            id: row.id,
            peer_id_prefix: text(row.rule.peer_id_prefix),
            user_agent: text(row.rule.user_agent),
            action: row.rule.action.into(),
            from: row.rule.from.map(Time),
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at.into(),
        }
    }
}

impl From<gate::ClientAction> for ClientAction {
    fn from(action: gate::ClientAction) -> Self {
        match action {
            gate::ClientAction::Allow => Self::Allow,
            gate::ClientAction::Deny => Self::Deny,
        }
    }
}

impl From<ClientAction> for gate::ClientAction {
    fn from(action: ClientAction) -> Self {
        match action {
            ClientAction::Allow => Self::Allow,
            ClientAction::Deny => Self::Deny,
        }
    }
}
