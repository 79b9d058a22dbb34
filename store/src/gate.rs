//! Which networks and which torrent clients may not announce, as admins have ruled. Trackers read each list as a whole
//! when it changes, so each is short enough for that.

use std::str::FromStr;

use ipnet::IpNet;
use sqlx::FromRow;
use tracker_core::gate::{ClientAction, ClientRule, IpBlock};
use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::audit::record_audit;
use crate::changes::{Changed, changing, record_change};
use crate::columns::{self, Word};
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::reading;
use crate::users::found_one;

/// Networks that are blocked at most, and client rules likewise.
pub const RULES_MAX: u32 = 10_000;

/// A row, as admins see it: what is ruled, why, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled<T> {
    /// Row number.
    pub id: i64,
    /// What is ruled.
    pub rule: T,
    /// Why.
    pub reason: String,
    /// Whose word it is.
    pub created_by: String,
    /// When.
    pub created_at: UnixTime,
}

/// A rule to be, of whichever kind.
#[derive(Clone, Copy, Debug)]
pub struct NewRule<'a, T> {
    /// What is ruled.
    pub rule: &'a T,
    /// Why.
    pub reason: &'a str,
    /// By whom.
    pub by: UserId,
    /// When.
    pub at: UnixTime,
}

/// Those that are over make room.
pub(crate) const FORGET_BLOCKS: &str = "
    delete from ip_blocks
    where expires_at <= $1";

const COUNT_BLOCKS: &str = "
    select count(*)
    from ip_blocks";

const CREATE_BLOCK: &str = "
    insert into ip_blocks (cidr, reason, created_by, created_at, expires_at)
    values ($1, $2, $3, $4, $5)
    returning id";

const DELETE_BLOCK: &str = "
    delete from ip_blocks
    where id = $1
    returning cidr";

const BLOCKS: &str = "
    select ip_blocks.id, ip_blocks.cidr, ip_blocks.reason, users.username as created_by, ip_blocks.created_at,
        ip_blocks.expires_at
    from ip_blocks
    join users on users.id = ip_blocks.created_by
    where ip_blocks.id < $1
    order by ip_blocks.id desc
    limit $2";

const COUNT_RULES: &str = "
    select count(*)
    from client_rules";

const CREATE_RULE: &str = "
    insert into client_rules (peer_id_prefix, user_agent, action, starts_at, reason, created_by, created_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    returning id";

const DELETE_RULE: &str = "
    delete from client_rules
    where id = $1
    returning peer_id_prefix";

const RULES: &str = "
    select client_rules.id, client_rules.peer_id_prefix, client_rules.user_agent, client_rules.action,
        client_rules.starts_at, client_rules.reason, users.username as created_by, client_rules.created_at
    from client_rules
    join users on users.id = client_rules.created_by
    where client_rules.id < $1
    order by client_rules.id desc
    limit $2";

#[derive(FromRow)]
struct BlockRow {
    id: i64,
    cidr: String,
    reason: String,
    created_by: String,
    created_at: i64,
    expires_at: Option<i64>,
}

#[derive(FromRow)]
struct RuleRow {
    id: i64,
    peer_id_prefix: String,
    user_agent: String,
    action: String,
    starts_at: Option<i64>,
    reason: String,
    created_by: String,
    created_at: i64,
}

impl Store {
    /// Networks that are or were blocked, newest first: those before the one of that number.
    pub async fn ip_blocks(&self, before: i64, limit: u32) -> Result<Vec<Ruled<IpBlock>>> {
        let rows: Vec<BlockRow> = reading!(self, |pool| {
            sqlx::query_as(BLOCKS)
                .bind(before)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Ruled::try_from).collect()
    }

    /// Blocks a network. `None`: there are [`RULES_MAX`] already. `Duplicate`: it is blocked already.
    pub async fn create_ip_block(&self, new: NewRule<'_, IpBlock>) -> Result<Option<i64>> {
        let at = i64::from(new.at.0);
        changing!(self, |tx, number| {
            sqlx::query(FORGET_BLOCKS)
                .bind(at)
                .execute(&mut *tx)
                .await?;
            let count: i64 = sqlx::query_scalar(COUNT_BLOCKS).fetch_one(&mut *tx).await?;
            if count >= i64::from(RULES_MAX) {
                return Ok(None);
            }
            let cidr = new.rule.net.trunc().to_string();
            let id: i64 = sqlx::query_scalar(CREATE_BLOCK)
                .bind(&cidr)
                .bind(new.reason)
                .bind(i64::from(new.by.0))
                .bind(at)
                .bind(new.rule.expires_at.map(|at| i64::from(at.0)))
                .fetch_one(&mut *tx)
                .await?;
            let subject = format!("ip_block:{id}");
            let detail = format!("{cidr}: {}", new.reason);
            record_audit!(tx, new.by, "ip_block.create", subject, detail, new.at);
            record_change!(tx, number, Changed::IpBlocks, new.at);
            Some(id)
        })
    }

    /// Lets a network announce again.
    pub async fn delete_ip_block(&self, id: i64, by: UserId, at: UnixTime) -> Result<()> {
        changing!(self, |tx, number| {
            let gone: Vec<String> = sqlx::query_scalar(DELETE_BLOCK)
                .bind(id)
                .fetch_all(&mut *tx)
                .await?;
            found_one(gone.len() as u64, "block")?;
            let subject = format!("ip_block:{id}");
            record_audit!(tx, by, "ip_block.delete", subject, gone.concat(), at);
            record_change!(tx, number, Changed::IpBlocks, at);
        })
    }

    /// The rules about torrent clients, newest first: those before the one of that number.
    pub async fn client_rules(&self, before: i64, limit: u32) -> Result<Vec<Ruled<ClientRule>>> {
        let rows: Vec<RuleRow> = reading!(self, |pool| {
            sqlx::query_as(RULES)
                .bind(before)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(Ruled::try_from).collect()
    }

    /// Rules about a torrent client. `None`: there are [`RULES_MAX`] already. `Duplicate`: there is one about just these.
    pub async fn create_client_rule(&self, new: NewRule<'_, ClientRule>) -> Result<Option<i64>> {
        changing!(self, |tx, number| {
            let count: i64 = sqlx::query_scalar(COUNT_RULES).fetch_one(&mut *tx).await?;
            if count >= i64::from(RULES_MAX) {
                return Ok(None);
            }
            let rule = new.rule;
            let id: i64 = sqlx::query_scalar(CREATE_RULE)
                .bind(text(&rule.peer_id_prefix))
                .bind(text(&rule.user_agent))
                .bind(rule.action.word())
                .bind(rule.from.map(|at| i64::from(at.0)))
                .bind(new.reason)
                .bind(i64::from(new.by.0))
                .bind(i64::from(new.at.0))
                .fetch_one(&mut *tx)
                .await?;
            let subject = format!("client_rule:{id}");
            let detail = format!(
                "{} `{}` `{}`: {}",
                rule.action.word(),
                text(&rule.peer_id_prefix),
                text(&rule.user_agent),
                new.reason
            );
            record_audit!(tx, new.by, "client_rule.create", subject, detail, new.at);
            record_change!(tx, number, Changed::ClientRules, new.at);
            Some(id)
        })
    }

    /// Takes a rule back.
    pub async fn delete_client_rule(&self, id: i64, by: UserId, at: UnixTime) -> Result<()> {
        changing!(self, |tx, number| {
            let gone: Vec<String> = sqlx::query_scalar(DELETE_RULE)
                .bind(id)
                .fetch_all(&mut *tx)
                .await?;
            found_one(gone.len() as u64, "client rule")?;
            let subject = format!("client_rule:{id}");
            record_audit!(tx, by, "client_rule.delete", subject, gone.concat(), at);
            record_change!(tx, number, Changed::ClientRules, at);
        })
    }
}

/// The API takes ASCII alone.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl TryFrom<BlockRow> for Ruled<IpBlock> {
    type Error = StoreError;

    fn try_from(row: BlockRow) -> Result<Self> {
        let net = IpNet::from_str(&row.cidr);
        Ok(Self {
            id: row.id,
            rule: IpBlock {
                net: net.map_err(|_| StoreError::corrupt("ip_blocks.cidr", &row.cidr))?,
                expires_at: columns::maybe_time(row.expires_at, "ip_blocks.expires_at")?,
            },
            reason: row.reason,
            created_by: row.created_by,
            created_at: columns::time(row.created_at, "ip_blocks.created_at")?,
        })
    }
}

impl TryFrom<RuleRow> for Ruled<ClientRule> {
    type Error = StoreError;

    fn try_from(row: RuleRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            rule: ClientRule {
                peer_id_prefix: row.peer_id_prefix.into_bytes(),
                user_agent: row.user_agent.into_bytes(),
                action: ClientAction::parse(&row.action)?,
                from: columns::maybe_time(row.starts_at, "client_rules.starts_at")?,
            },
            reason: row.reason,
            created_by: row.created_by,
            created_at: columns::time(row.created_at, "client_rules.created_at")?,
        })
    }
}

impl Word for ClientAction {
    const ALL: &'static [Self] = &[Self::Allow, Self::Deny];
    const COLUMN: &'static str = "client_rules.action";

    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}
