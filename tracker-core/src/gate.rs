//! Which addresses and which clients may announce at all: what admins have ruled.
//!
//! Nearly every site rules little and most announces pass, so an empty gate costs one look at a flag.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::ids::{PeerId, UnixTime};
use crate::refusal::Refusal;

/// An address or a network that may not announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpBlock {
    /// Who. A single address is a network of one.
    pub net: IpNet,
    /// Until when; `None`: for good.
    pub expires_at: Option<UnixTime>,
}

/// What is done with a client that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// It may announce.
    Allow,
    /// It is refused.
    Deny,
}

/// A rule about torrent clients. Of those that match one, the rule decides that says most of it: the longest
/// `peer_id_prefix`, and among equals the longest `user_agent`. So an exception is a longer rule, and a list of allowed
/// clients stands beside a rule that denies all: one with an empty prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRule {
    /// How its peer id begins (BEP 20), as `-TR30`. Empty: any.
    pub peer_id_prefix: Vec<u8>,
    /// How its `User-Agent` begins. Empty: any, also none. UDP has none.
    pub user_agent: Vec<u8>,
    /// What happens to it.
    pub action: ClientAction,
    /// From when on; `None`: since ever.
    pub from: Option<UnixTime>,
}

/// A client as the network shows it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address.
    pub ip: IpAddr,
    /// What it calls itself over HTTP; needed only while a rule [asks for it](Gate::asks_user_agents).
    pub user_agent: &'a [u8],
}

/// What is ruled at present.
#[derive(Debug, Default)]
pub struct Gate {
    has_rules: AtomicBool,
    asks_user_agents: AtomicBool,
    blocks: ArcSwap<Blocks>,
    clients: ArcSwap<Vec<ClientRule>>,
}

/// Networks by length, so that an address is looked up once for every length there is.
#[derive(Debug, Default)]
struct Blocks {
    lengths: Vec<(bool, u8)>,
    nets: HashMap<(bool, u8, u128), Option<UnixTime>, foldhash::fast::RandomState>,
}

impl Gate {
    /// Takes the blocks there are in place of those before.
    pub fn put_blocks(&self, blocks: impl IntoIterator<Item = IpBlock>) {
        self.blocks.store(Blocks::new(blocks).into());
        self.look();
    }

    /// Takes the rules there are in place of those before.
    pub fn put_client_rules(&self, mut rules: Vec<ClientRule>) {
        rules.sort_by_key(|rule| {
            std::cmp::Reverse((rule.peer_id_prefix.len(), rule.user_agent.len()))
        });
        self.clients.store(rules.into());
        self.look();
    }

    /// Whether a rule can't be judged without the client's `User-Agent`.
    pub fn asks_user_agents(&self) -> bool {
        self.asks_user_agents.load(Acquire)
    }

    /// May it announce? `claimed` is where it says it is, if it is believed.
    #[inline]
    pub(crate) fn pass(
        &self,
        client: Client<'_>,
        claimed: IpAddr,
        peer_id: &PeerId,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        match self.has_rules.load(Acquire) {
            false => Ok(()),
            true => self.judge(client, claimed, peer_id, now),
        }
    }

    #[cold]
    fn judge(
        &self,
        client: Client<'_>,
        claimed: IpAddr,
        peer_id: &PeerId,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let blocks = self.blocks.load();
        if blocks.holds(client.ip, now) || blocks.holds(claimed, now) {
            return Err(Refusal::AddressBlocked);
        }
        let rules = self.clients.load();
        let rule = rules.iter().find(|rule| {
            rule.from.is_none_or(|from| from <= now)
                && peer_id.0.starts_with(&rule.peer_id_prefix)
                && client.user_agent.starts_with(&rule.user_agent)
        });
        match rule.map(|rule| rule.action) {
            Some(ClientAction::Deny) => Err(Refusal::ClientNotAllowed),
            Some(ClientAction::Allow) | None => Ok(()),
        }
    }

    fn look(&self) {
        let rules = self.clients.load();
        let asks = rules.iter().any(|rule| !rule.user_agent.is_empty());
        let has_rules = !rules.is_empty() || !self.blocks.load().nets.is_empty();
        self.asks_user_agents.store(asks, Release);
        self.has_rules.store(has_rules, Release);
    }
}

impl Blocks {
    fn new(blocks: impl IntoIterator<Item = IpBlock>) -> Self {
        let mut all = Self::default();
        for block in blocks {
            let net = block.net.trunc();
            let (is_v6, bits) = bits(net.addr());
            let key = (is_v6, net.prefix_len(), bits);
            all.nets.insert(key, block.expires_at);
            all.lengths.push((is_v6, net.prefix_len()));
        }
        all.lengths.sort_unstable();
        all.lengths.dedup();
        all
    }

    fn holds(&self, ip: IpAddr, now: UnixTime) -> bool {
        let (is_v6, bits) = bits(ip);
        let lengths = self.lengths.iter().filter(|(of_v6, _)| *of_v6 == is_v6);
        lengths.into_iter().any(|&(_, length)| {
            // All of them shifted away is none of them, which `<<` wouldn't do.
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            let found = self.nets.get(&(is_v6, length, bits & mask));
            found.is_some_and(|expires_at| expires_at.is_none_or(|at| at > now))
        })
    }
}

/// The address's own bits first. IPv4 inside IPv6 is IPv4.
fn bits(ip: IpAddr) -> (bool, u128) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (false, u128::from(ip.to_bits()) << 96),
        IpAddr::V6(ip) => (true, ip.to_bits()),
    }
}

impl From<IpAddr> for Client<'_> {
    fn from(ip: IpAddr) -> Self {
        Self {
            ip,
            user_agent: &[],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const NOW: UnixTime = UnixTime(1000);

    fn blocks(nets: &[(&str, Option<u32>)]) -> Gate {
        let gate = Gate::default();
        gate.put_blocks(nets.iter().map(|(net, expires_at)| IpBlock {
            net: net.parse().unwrap(),
            expires_at: expires_at.map(UnixTime),
        }));
        gate
    }

    fn rule(peer_id: &str, agent: &str, action: ClientAction, from: Option<u32>) -> ClientRule {
        ClientRule {
            peer_id_prefix: peer_id.into(),
            user_agent: agent.into(),
            action,
            from: from.map(UnixTime),
        }
    }

    fn ask(gate: &Gate, ip: &str, claimed: &str, peer_id: &str, agent: &str) -> &'static str {
        let client = Client {
            ip: ip.parse().unwrap(),
            user_agent: agent.as_bytes(),
        };
        let mut id = PeerId([b'0'; 20]);
        id.0[..peer_id.len()].copy_from_slice(peer_id.as_bytes());
        let passed = gate.pass(client, claimed.parse().unwrap(), &id, NOW);
        passed.map_or_else(Refusal::name, |()| "passed")
    }

    #[test]
    fn a_block_holds_its_whole_network_and_nothing_else() {
        let gate = blocks(&[
            ("192.0.2.0/24", None),
            ("198.51.100.7/32", None),
            ("2001:db8::/32", None),
        ]);
        for (ip, expected) in [
            ("192.0.2.0", "address_blocked"),
            ("192.0.2.255", "address_blocked"),
            ("192.0.3.0", "passed"),
            ("192.0.1.255", "passed"),
            ("::ffff:192.0.2.9", "address_blocked"),
            ("198.51.100.7", "address_blocked"),
            ("198.51.100.8", "passed"),
            ("2001:db8:ffff::1", "address_blocked"),
            ("2001:db9::", "passed"),
        ] {
            assert_eq!(ask(&gate, ip, ip, "-XX", ""), expected, "{ip}");
        }
        // Where it says it is counts, and where it is as well.
        assert_eq!(
            ask(&gate, "203.0.113.1", "192.0.2.1", "", ""),
            "address_blocked"
        );
        assert_eq!(
            ask(&gate, "192.0.2.1", "203.0.113.1", "", ""),
            "address_blocked"
        );
    }

    #[test]
    fn a_whole_family_can_be_blocked_without_the_other() {
        let gate = blocks(&[("::/0", None)]);
        assert_eq!(
            ask(&gate, "2001:db8::1", "2001:db8::1", "", ""),
            "address_blocked"
        );
        assert_eq!(ask(&gate, "192.0.2.1", "192.0.2.1", "", ""), "passed");
        let gate = blocks(&[("0.0.0.0/0", None)]);
        assert_eq!(
            ask(&gate, "192.0.2.1", "192.0.2.1", "", ""),
            "address_blocked"
        );
        assert_eq!(ask(&gate, "2001:db8::1", "2001:db8::1", "", ""), "passed");
    }

    #[test]
    fn a_block_ends_in_its_last_second_and_a_wider_one_goes_on() {
        let ip = "192.0.2.1";
        let gate = blocks(&[("192.0.2.0/24", Some(1000)), ("192.0.2.1/32", Some(1000))]);
        assert_eq!(ask(&gate, ip, ip, "", ""), "passed");
        let gate = blocks(&[("192.0.2.0/24", Some(1001)), ("192.0.2.1/32", Some(1000))]);
        assert_eq!(ask(&gate, ip, ip, "", ""), "address_blocked");
        gate.put_blocks([]);
        assert_eq!(ask(&gate, ip, ip, "", ""), "passed");
    }

    #[test]
    fn the_rule_that_says_most_of_a_client_decides() {
        use ClientAction::{Allow, Deny};
        let gate = Gate::default();
        assert!(!gate.asks_user_agents());
        gate.put_client_rules(vec![
            rule("", "", Deny, None),
            rule("-TR", "", Allow, None),
            rule("-TR29", "", Deny, None),
            rule("-UT", "", Allow, Some(1001)),
            rule("-qB", "", Allow, Some(1000)),
            rule("-qB", "bad", Deny, None),
        ]);
        assert!(gate.asks_user_agents());
        let ip = "192.0.2.1";
        for (peer_id, agent, expected) in [
            ("-TR30", "", "passed"),
            ("-TR29", "", "client_not_allowed"),
            ("-XX", "", "client_not_allowed"),
            ("-UT", "", "client_not_allowed"),
            ("-qB", "", "passed"),
            ("-qB", "badger/1", "client_not_allowed"),
            ("-qB", "good/1", "passed"),
        ] {
            assert_eq!(
                ask(&gate, ip, ip, peer_id, agent),
                expected,
                "{peer_id} {agent}"
            );
        }
        gate.put_client_rules(Vec::new());
        assert_eq!(ask(&gate, ip, ip, "-XX", ""), "passed");
    }
}
