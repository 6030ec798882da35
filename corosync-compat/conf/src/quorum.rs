//! The quorum section and the votes of the nodelist.

use crate::legacy::Legacy;
use crate::link::Link;
use crate::schema::Document;
use crate::{Keys, Kind, Refused};

/// How many votes there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// So many.
    Votes(u32),
    /// Nobody says: the most nodes that any member has ever seen, at least two.
    HighestSeen,
}

/// Which node breaks a tie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TieBreaker {
    /// The one with the lowest id.
    Lowest,
    /// The one with the highest id.
    Highest,
    /// The first of these that is there.
    List(Vec<u32>),
}

/// A quorum device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its model, `net` for one.
    pub model: String,
    /// Its votes; None: one less than the nodes have.
    pub votes: Option<u32>,
    /// How long it may be silent, in milliseconds.
    pub timeout_ms: u32,
    /// The same while a ring is formed, in milliseconds.
    pub sync_timeout_ms: u32,
    /// Whether the partition with the device wins.
    pub master_wins: bool,
}

/// What votequorum is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// How many votes there should be, the device's included.
    pub expected: Expected,
    /// This node's votes.
    pub votes: u32,
    /// Number of nodes in the nodelist, or in the member list of a file of 1.x.
    pub nodes: u32,
    /// Sum of their votes.
    pub nodes_votes: u32,
    /// Of two nodes, one is enough.
    pub two_node: bool,
    /// Nothing before all have been seen; None: as `two_node` says.
    pub wait_for_all: Option<bool>,
    /// Count down with the nodes that go.
    pub last_man_standing: bool,
    /// After this long, in milliseconds.
    pub last_man_standing_window_ms: u32,
    /// Half of the votes and this node are enough.
    pub tie_breaker: Option<TieBreaker>,
    /// Count down with the nodes that leave in good order.
    pub allow_downscale: bool,
    /// Remember the highest number of expected votes.
    pub expected_votes_tracking: bool,
    /// How long a node says that it leaves, in milliseconds.
    pub leaving_timeout_ms: u32,
    /// The device.
    pub device: Option<Device>,
}

const PROVIDER: &str = "corosync_votequorum";
const WINDOW_MS: u32 = 10_000;
const DEVICE_TIMEOUT_MS: u32 = 10_000;
const DEVICE_SYNC_TIMEOUT_MS: u32 = 30_000;

/// Sets the provider that a file of 1.x leaves out.
pub(crate) fn complete(keys: &mut Keys, legacy: &Legacy) {
    if legacy.votequorum_by_itself {
        keys.compute("quorum.provider", cmap::Value::text(PROVIDER));
    }
}

impl Quorum {
    /// None where no provider is set: then every ring is quorate.
    pub(crate) fn of(
        keys: &Keys,
        local: Option<u32>,
        links: &[Link],
        legacy: &Legacy,
    ) -> Option<Self> {
        keys.value("quorum.provider")?;
        let number = |name: &str| keys.u32(&format!("quorum.{name}"));
        let is_set = |name: &str| keys.u8(&format!("quorum.{name}")).is_some_and(|v| v != 0);
        let mut votes = Votes::of(keys, local, links);
        let device = device(keys);
        let configured = number("expected_votes").filter(|v| *v != 0);
        if let (Some(Device { votes: None, .. }), None) = (&device, configured) {
            votes.with_device = votes.sum.saturating_add(votes.sum.saturating_sub(1));
        }
        let expected = match configured.or(Some(votes.with_device).filter(|v| *v != 0)) {
            Some(votes) => Expected::Votes(votes),
            None => Expected::HighestSeen,
        };
        let allow_downscale = is_set("allow_downscale");
        let wait_for_all = keys.u8("quorum.wait_for_all").map(|v| v != 0);
        let must_wait = legacy.votequorum_by_itself && expected == Expected::HighestSeen;
        Some(Self {
            expected,
            votes: votes.mine.or_else(|| number("votes")).unwrap_or(1),
            nodes: votes.nodes,
            nodes_votes: votes.sum,
            two_node: is_set("two_node"),
            wait_for_all: if must_wait { Some(true) } else { wait_for_all },
            last_man_standing: is_set("last_man_standing"),
            last_man_standing_window_ms: number("last_man_standing_window").unwrap_or(WINDOW_MS),
            tie_breaker: is_set("auto_tie_breaker").then(|| tie_breaker(keys)).flatten(),
            allow_downscale,
            expected_votes_tracking: allow_downscale || is_set("expected_votes_tracking"),
            leaving_timeout_ms: number("leaving_timeout").unwrap_or(WINDOW_MS),
            device,
        })
    }

    /// Whether nothing happens before all have been seen.
    pub fn waits_for_all(&self) -> bool {
        self.wait_for_all.unwrap_or(self.two_node)
    }

    /// What keeps votequorum from starting, in the reference's order.
    pub(crate) fn check(&self, document: &Document, is_legacy: bool) -> Result<(), Refused> {
        let refuse = |key: &str, reason: &str| {
            Err(document.refuse(Kind::Quorum, key, format!("configuration error: {reason}")))
        };
        if self.expected == Expected::HighestSeen && !is_legacy {
            return refuse(
                "quorum.provider",
                "nodelist or quorum.expected_votes must be configured!",
            );
        }
        let Some(device) = &self.device else { return self.check_tie_breaker(document) };
        if self.two_node {
            let reason = "two_node and quorum device cannot be configured at the same time!";
            return refuse("quorum.two_node", reason);
        }
        self.check_tie_breaker(document)?;
        let incompatible = [
            (self.last_man_standing, "last_man_standing"),
            (self.tie_breaker.is_some(), "auto_tie_breaker"),
            (self.allow_downscale, "allow_downscale"),
        ];
        if let Some((_, name)) = incompatible.into_iter().find(|(is_set, _)| *is_set) {
            let reason = format!("quorum.device is not compatible with {name}");
            return refuse(&format!("quorum.{name}"), &reason);
        }
        self.check_device_votes(device, document)
    }

    fn check_device_votes(&self, device: &Device, document: &Document) -> Result<(), Refused> {
        let configured = document.keys.u32("quorum.expected_votes").filter(|v| *v != 0);
        let reason = match (configured, device.votes) {
            (Some(_), None) => {
                "quorum.device.votes must be specified when quorum.expected_votes is set"
            }
            (None, None) if self.nodes != self.nodes_votes => {
                "quorum.device.votes must be specified when not all nodes votes 1"
            }
            (Some(expected), Some(votes)) if votes > 0 && expected < votes.saturating_add(2) => {
                "quorum.device.votes is too high or expected_votes is too low"
            }
            _ => return Ok(()),
        };
        let reason = format!("configuration error: {reason}");
        Err(document.refuse(Kind::Quorum, "quorum.device.model", reason))
    }

    fn check_tie_breaker(&self, document: &Document) -> Result<(), Refused> {
        let is_odd = self.nodes_votes % 2 == 1;
        let breaks_ties = self.tie_breaker.is_some();
        if breaks_ties && is_odd && !self.waits_for_all() && self.last_man_standing {
            let reason = "configuration error: auto_tie_breaker & last_man_standing not available \
                          in odd sized cluster";
            return Err(document.refuse(Kind::Quorum, "quorum.last_man_standing", reason));
        }
        Ok(())
    }

    /// Whether one of two nodes is enough: not beside a tie breaker.
    pub fn effective_two_node(&self) -> bool {
        self.two_node && self.tie_breaker.is_none()
    }

    /// The tie breaker, where it counts: not among an odd number of votes
    /// without `wait_for_all`.
    pub fn effective_tie_breaker(&self) -> Option<&TieBreaker> {
        let is_odd = self.nodes_votes % 2 == 1;
        self.tie_breaker.as_ref().filter(|_| !is_odd || self.waits_for_all())
    }
}

/// What the file says of the provider.
pub(crate) fn check_provider(document: &Document) -> Result<(), Refused> {
    match document.keys.value("quorum.provider").map(|v| v.as_text().unwrap_or_default()) {
        None | Some(PROVIDER) => Ok(()),
        Some(_) => Err(document.refuse(Kind::Quorum, "quorum.provider", "Invalid quorum provider")),
    }
}

#[derive(Default)]
struct Votes {
    nodes: u32,
    sum: u32,
    mine: Option<u32>,
    /// The sum with a device that has one vote less.
    with_device: u32,
}

impl Votes {
    fn of(keys: &Keys, local: Option<u32>, links: &[Link]) -> Self {
        let mut votes = Self::default();
        let Some(local) = local else {
            let members = links.first().map_or(0, |link| link.members.len());
            let members = u32::try_from(members).unwrap_or(u32::MAX);
            return Self { nodes: members, sum: members, mine: None, with_device: members };
        };
        let mut last = None;
        for (position, _, _) in keys.numbered("nodelist.node.") {
            if last.replace(position) == Some(position) {
                continue;
            }
            let of_node = keys.u32(&format!("nodelist.node.{position}.quorum_votes")).unwrap_or(1);
            votes.nodes += 1;
            votes.sum = votes.sum.saturating_add(of_node);
            if position == local {
                votes.mine = Some(of_node);
            }
        }
        votes.with_device = votes.sum;
        votes
    }
}

fn device(keys: &Keys) -> Option<Device> {
    let model = keys.text("quorum.device.model").filter(|model| !model.is_empty())?;
    let number = |name: &str| keys.u32(&format!("quorum.device.{name}"));
    Some(Device {
        model: model.to_owned(),
        votes: number("votes"),
        timeout_ms: number("timeout").unwrap_or(DEVICE_TIMEOUT_MS),
        sync_timeout_ms: number("sync_timeout").unwrap_or(DEVICE_SYNC_TIMEOUT_MS),
        master_wins: keys.u8("quorum.device.master_wins").is_some_and(|v| v != 0),
    })
}

/// None where the text means nothing, as in the reference.
fn tie_breaker(keys: &Keys) -> Option<TieBreaker> {
    match keys.text("quorum.auto_tie_breaker_node") {
        None | Some("lowest") => Some(TieBreaker::Lowest),
        Some("highest") => Some(TieBreaker::Highest),
        Some(list) => {
            let nodes = list.split_whitespace().map_while(|n| n.parse().ok().filter(|n| *n != 0));
            let nodes: Vec<u32> = nodes.collect();
            (!nodes.is_empty()).then_some(TieBreaker::List(nodes))
        }
    }
}

#[cfg(test)]
mod tests;
