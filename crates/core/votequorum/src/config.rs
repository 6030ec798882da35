//! What the administrator says about votes, and which of it goes together.
//!
//! Source: `votequorum(5)`; the texts are those that administrators know.

/// The nodes that the configuration lists, as far as votes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeList {
    /// Votes of this node.
    pub own_votes: u32,
    /// How many nodes there are.
    pub nodes: u32,
    /// Votes of all.
    pub votes: u32,
}

/// A configured quorum device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// `quorum.device.votes`
    pub votes: Option<u32>,
    /// `quorum.device.timeout`
    pub timeout_ms: u32,
    /// `quorum.device.sync_timeout`
    pub sync_timeout_ms: u32,
}

impl Default for Device {
    fn default() -> Self {
        Self { votes: None, timeout_ms: 10_000, sync_timeout_ms: 30_000 }
    }
}

/// `quorum.*` and the nodelist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// None: there is none, or this node is not in it.
    pub nodes: Option<NodeList>,
    /// `quorum.expected_votes`
    pub expected_votes: Option<u32>,
    /// `quorum.votes`, for a node that no nodelist names.
    pub votes: Option<u32>,
    /// `quorum.two_node`
    pub two_node: bool,
    /// `quorum.wait_for_all`; where nothing is said it follows two_node.
    pub wait_for_all: Option<bool>,
    /// `quorum.last_man_standing`
    pub last_man_standing: bool,
    /// `quorum.last_man_standing_window`
    pub last_man_standing_window_ms: u32,
    /// `quorum.auto_tie_breaker`
    pub auto_tie_breaker: bool,
    /// `quorum.auto_tie_breaker_node`
    pub auto_tie_breaker_node: Option<String>,
    /// `quorum.allow_downscale`
    pub allow_downscale: bool,
    /// `quorum.expected_votes_tracking`
    pub expected_votes_tracking: bool,
    /// `quorum.device`
    pub device: Option<Device>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nodes: None,
            expected_votes: None,
            votes: None,
            two_node: false,
            wait_for_all: None,
            last_man_standing: false,
            last_man_standing_window_ms: 10_000,
            auto_tie_breaker: false,
            auto_tie_breaker_node: None,
            allow_downscale: false,
            expected_votes_tracking: false,
            device: None,
        }
    }
}

/// Who decides a tie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TieBreaker {
    /// Nobody.
    #[default]
    None,
    /// The partition with the lowest node.
    Lowest,
    /// The partition with the highest node.
    Highest,
    /// The partition with the first of these that was there.
    List(Vec<u32>),
}

impl TieBreaker {
    /// Its number in `runtime.votequorum.atb_type`.
    pub fn number(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Lowest => 1,
            Self::Highest => 2,
            Self::List(_) => 3,
        }
    }

    /// What `auto_tie_breaker_node` says; nonsense breaks no ties.
    pub fn parse(text: &str) -> Self {
        match text {
            "lowest" => Self::Lowest,
            "highest" => Self::Highest,
            _ => {
                let numbers = text.split_whitespace().map_while(|word| word.parse().ok());
                let list: Vec<u32> = numbers.take_while(|node| *node != 0).collect();
                if list.is_empty() { Self::None } else { Self::List(list) }
            }
        }
    }
}

/// How a daemon that starts or runs treats a contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Start,
    Run { device_registered: bool },
}

/// What follows from a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) two_node: bool,
    pub(crate) tie_breaker: TieBreaker,
    pub(crate) device_votes: Option<u32>,
    pub(crate) device_can_operate: bool,
    /// Votes of the nodelist, with those of the device where these follow from it.
    pub(crate) listed_votes: u32,
    pub(crate) warnings: Vec<String>,
}

/// Resolves what goes together; at a start a contradiction is an error.
pub(crate) fn resolve(config: &Config, when: When) -> Result<Resolved, String> {
    if config.nodes.is_none() && config.expected_votes.unwrap_or(0) == 0 {
        return Err(error("nodelist or quorum.expected_votes must be configured!"));
    }
    let mut resolved = Resolved {
        two_node: config.two_node,
        device_can_operate: true,
        device_votes: config.device.and_then(|device| device.votes),
        listed_votes: config.nodes.map_or(0, |nodes| nodes.votes),
        ..Resolved::default()
    };
    check_two_node(config, when, &mut resolved)?;
    resolved.tie_breaker = tie_breaker(config, &mut resolved.warnings);
    check_tie_breaker(config, &mut resolved)?;
    for contradiction in device_contradictions(config, &resolved) {
        if when == When::Start {
            return Err(contradiction);
        }
        resolved.device_can_operate = false;
        resolved.warnings.push(format!("{contradiction}; disabling quorum device operations"));
    }
    derive_device_votes(config, &mut resolved);
    Ok(resolved)
}

fn error(text: &str) -> String {
    format!("configuration error: {text}")
}

fn check_two_node(config: &Config, when: When, resolved: &mut Resolved) -> Result<(), String> {
    if !config.two_node || config.device.is_none() {
        return Ok(());
    }
    let text = error("two_node and quorum device cannot be configured at the same time!");
    match when {
        When::Start => return Err(text),
        When::Run { device_registered: true } => resolved.two_node = false,
        When::Run { device_registered: false } => resolved.device_can_operate = false,
    }
    resolved.warnings.push(text);
    Ok(())
}

fn tie_breaker(config: &Config, warnings: &mut Vec<String>) -> TieBreaker {
    let wanted = config.auto_tie_breaker_node.as_deref();
    if !config.auto_tie_breaker {
        if wanted.is_some() {
            let text = "auto_tie_breaker_node is meaningless if auto_tie_breaker is set to 0";
            warnings.push(text.into());
        }
        return TieBreaker::None;
    }
    let breaker = wanted.map_or(TieBreaker::Lowest, TieBreaker::parse);
    if breaker == TieBreaker::None {
        let text = "auto_tie_breaker_node must be 'lowest', 'highest' or a space-separated list \
                    of node ids: auto_tie_breaker is disabled";
        warnings.push(text.into());
    }
    breaker
}

/// [VQ-9] An odd cluster could be split so that both the majority and, after a
/// restart, the half with the tie breaker act.
fn check_tie_breaker(config: &Config, resolved: &mut Resolved) -> Result<(), String> {
    if resolved.tie_breaker == TieBreaker::None {
        return Ok(());
    }
    if resolved.two_node {
        resolved.two_node = false;
        let text = "two_node and auto_tie_breaker are not compatible: two_node has been disabled";
        resolved.warnings.push(text.into());
    }
    let waits = config.wait_for_all.unwrap_or(resolved.two_node);
    if resolved.listed_votes.is_multiple_of(2) || waits {
        return Ok(());
    }
    if config.last_man_standing {
        let text = "auto_tie_breaker & last_man_standing not available in odd sized cluster";
        return Err(error(text));
    }
    resolved.tie_breaker = TieBreaker::None;
    let text = "auto_tie_breaker needs wait_for_all in a cluster with an odd number of votes: \
                auto_tie_breaker has been disabled";
    resolved.warnings.push(text.into());
    Ok(())
}

fn device_contradictions(config: &Config, resolved: &Resolved) -> Vec<String> {
    let Some(device) = config.device else { return Vec::new() };
    let expected = config.expected_votes.unwrap_or(0);
    let uneven = config.nodes.is_some_and(|nodes| nodes.nodes != nodes.votes);
    let not_enough = device.votes.is_some_and(|votes| {
        votes > 0 && expected > 0 && i64::from(expected) - i64::from(votes) < 2
    });
    let checks = [
        (config.last_man_standing, "quorum.device is not compatible with last_man_standing"),
        (
            resolved.tie_breaker != TieBreaker::None,
            "quorum.device is not compatible with auto_tie_breaker",
        ),
        (config.allow_downscale, "quorum.device is not compatible with allow_downscale"),
        (
            expected > 0 && device.votes.is_none(),
            "quorum.device.votes must be specified when quorum.expected_votes is set",
        ),
        (
            device.votes.is_none() && uneven,
            "quorum.device.votes must be specified when not all nodes votes 1",
        ),
        (not_enough, "quorum.device.votes is too high or expected_votes is too low"),
    ];
    checks.into_iter().filter(|(broken, _)| *broken).map(|(_, text)| error(text)).collect()
}

/// Where every node has one vote, a device has one less than all together.
fn derive_device_votes(config: &Config, resolved: &mut Resolved) {
    let Some(nodes) = config.nodes.filter(|nodes| nodes.nodes == nodes.votes) else { return };
    let silent = config.device.is_some() && resolved.device_votes.is_none();
    if silent && config.expected_votes.unwrap_or(0) == 0 {
        let votes = nodes.votes.saturating_sub(1);
        resolved.device_votes = Some(votes);
        resolved.listed_votes = nodes.votes.saturating_add(votes);
    }
}
