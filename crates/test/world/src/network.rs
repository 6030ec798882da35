//! What becomes of a datagram.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use observe::Node;
use sansio::Rng;
use sansio::edge::Link;

/// Port of every simulated datagram socket.
const PORT: u16 = 5405;

/// The address of a node on a link: `10.HIGH.LINK.LOW` of the node's number.
pub(crate) fn address(node: Node, link: Link) -> SocketAddr {
    let [high, low] = u16::try_from(node.0).unwrap_or(u16::MAX).to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, high, link.0, low), PORT).into()
}

/// The node and link behind an address, if it is one of [`address`].
pub(crate) fn resolve(at: SocketAddr) -> Option<(Node, Link)> {
    let SocketAddr::V4(v4) = at else { return None };
    let [ten, high, link, low] = v4.ip().octets();
    let node = Node(u32::from(u16::from_be_bytes([high, low])));
    (ten == 10 && v4.port() == PORT && node.0 > 0).then_some((node, Link(link)))
}

/// How a link treats datagrams. Shares are per mille.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Share that is lost.
    pub loss: u32,
    /// Share that arrives twice.
    pub duplicate: u32,
    /// Share that others may overtake.
    pub reorder: u32,
    /// Share that arrives cut short.
    pub garble: u32,
    /// Least and most time on the way, in nanoseconds.
    pub delay_ns: (u64, u64),
}

impl Default for Weather {
    /// A quiet network: no faults, 50 to 300 microseconds.
    fn default() -> Self {
        Self { loss: 0, duplicate: 0, reorder: 0, garble: 0, delay_ns: (50_000, 300_000) }
    }
}

/// One arrival of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When, in virtual time.
    pub(crate) at: u64,
    /// Cut to this length.
    pub(crate) cut_to: Option<usize>,
    /// Whether others may have been overtaken.
    pub(crate) reordered: bool,
}

/// What becomes of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is lost, for this reason.
    Lost(&'static str),
    /// It arrives, perhaps more than once.
    Arrives(Vec<Arrival>),
}

/// The network between nodes: weather everywhere, weather and cuts in one
/// direction of one link, and partitions.
#[derive(Debug, Default)]
pub struct Network {
    /// How links without rules of their own behave.
    pub weather: Weather,
    local: BTreeMap<(Node, Node, Link), Weather>,
    sides: Vec<BTreeSet<Node>>,
    cuts: BTreeSet<(Node, Node, Option<Link>)>,
    last_arrival: BTreeMap<(Node, Node, Link), u64>,
}

impl Network {
    /// Only nodes of the same side can talk; a node on no side talks to nobody.
    pub fn partition(&mut self, sides: Vec<BTreeSet<Node>>) {
        self.sides = sides;
    }

    /// Nothing goes from one node to another any more, on one link or on all.
    pub fn cut(&mut self, from: Node, to: Node, link: Option<Link>) {
        self.cuts.insert((from, to, link));
    }

    /// One direction of one link behaves in its own way.
    pub fn local_weather(&mut self, from: Node, to: Node, link: Link, weather: Weather) {
        self.local.insert((from, to, link), weather);
    }

    /// Ends all cuts and all weather but the quiet one.
    pub fn heal(&mut self) {
        self.weather = Weather::default();
        self.local.clear();
        self.sides.clear();
        self.cuts.clear();
    }

    fn why_cut(&self, from: Node, to: Node, link: Link) -> Option<&'static str> {
        let apart = |side: &BTreeSet<Node>| side.contains(&from) && side.contains(&to);
        if !self.sides.is_empty() && !self.sides.iter().any(apart) {
            return Some("cut");
        }
        let one_way =
            self.cuts.contains(&(from, to, None)) || self.cuts.contains(&(from, to, Some(link)));
        one_way.then_some("one-way cut")
    }

    /// Decides about a datagram of `len` bytes sent at `now`. Datagrams of one
    /// direction of one link keep their order unless the weather reorders them.
    pub(crate) fn route(
        &mut self,
        rng: &mut Rng,
        now: u64,
        (from, to, link): (Node, Node, Link),
        len: usize,
    ) -> Fate {
        if let Some(why) = self.why_cut(from, to, link) {
            return Fate::Lost(why);
        }
        let key = (from, to, link);
        let weather = self.local.get(&key).unwrap_or(&self.weather);
        if rng.chance(weather.loss) {
            return Fate::Lost("loss");
        }
        let copies = if rng.chance(weather.duplicate) { 2 } else { 1 };
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut at = now + rng.range(weather.delay_ns.0, weather.delay_ns.1);
            let last = self.last_arrival.entry(key).or_default();
            let reordered = rng.chance(weather.reorder);
            if reordered {
                at += rng.range(0, weather.delay_ns.1 * 4);
            } else {
                at = at.max(*last);
                *last = at;
            }
            let garbled = rng.chance(weather.garble).then(|| rng.below(len as u64));
            let cut_to = garbled.and_then(|len| usize::try_from(len).ok());
            arrivals.push(Arrival { at, cut_to, reordered });
        }
        Fate::Arrives(arrivals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: (Node, Node, Link) = (Node(1), Node(2), Link(0));
    const BACK: (Node, Node, Link) = (Node(2), Node(1), Link(0));

    fn arrivals(network: &mut Network, route: (Node, Node, Link), count: u64) -> Vec<Arrival> {
        let mut rng = Rng::new(1);
        let fates = (0..count).map(|now| network.route(&mut rng, now, route, 10));
        let some = |fate| match fate {
            Fate::Lost(_) => Vec::new(),
            Fate::Arrives(arrivals) => arrivals,
        };
        fates.flat_map(some).collect()
    }

    #[test]
    fn addresses_resolve_to_their_nodes() {
        for (node, link) in [(Node(1), Link(0)), (Node(300), Link(3))] {
            assert_eq!(resolve(address(node, link)), Some((node, link)));
        }
        assert_eq!(resolve("10.0.0.1:99".parse().unwrap()), None);
        assert_eq!(resolve("192.168.0.1:5405".parse().unwrap()), None);
    }

    #[test]
    fn a_quiet_network_keeps_everything_in_order() {
        let seen = arrivals(&mut Network::default(), ROUTE, 500);
        assert_eq!(seen.len(), 500);
        assert!(seen.is_sorted_by_key(|arrival| arrival.at));
        assert!(seen.iter().all(|arrival| arrival.cut_to.is_none()));
    }

    #[test]
    fn weather_loses_doubles_reorders_and_garbles() {
        let mut network = Network::default();
        network.weather.loss = 300;
        let lossy = arrivals(&mut network, ROUTE, 1000).len();
        assert!((600..800).contains(&lossy), "{lossy}");
        network.weather = Weather { duplicate: 300, ..Weather::default() };
        let doubled = arrivals(&mut network, ROUTE, 1000).len();
        assert!((1200..1400).contains(&doubled), "{doubled}");
        network.weather = Weather { reorder: 300, garble: 300, ..Weather::default() };
        let seen = arrivals(&mut network, ROUTE, 1000);
        assert!(!seen.is_sorted_by_key(|arrival| arrival.at));
        assert!(seen.iter().any(|arrival| arrival.cut_to.is_some_and(|len| len < 10)));
    }

    #[test]
    fn a_rule_holds_for_one_direction_of_one_link() {
        let mut network = Network::default();
        network.cut(Node(1), Node(2), Some(Link(0)));
        assert_eq!(arrivals(&mut network, ROUTE, 9), []);
        assert_eq!(arrivals(&mut network, BACK, 9).len(), 9);
        assert_eq!(arrivals(&mut network, (Node(1), Node(2), Link(1)), 9).len(), 9);
        network.heal();
        let lossy = Weather { loss: 1000, ..Weather::default() };
        network.local_weather(Node(2), Node(1), Link(0), lossy);
        assert_eq!(arrivals(&mut network, ROUTE, 9).len(), 9);
        assert_eq!(arrivals(&mut network, BACK, 9), []);
    }

    #[test]
    fn a_partition_parts_sides_and_heals() {
        let mut network = Network::default();
        network.partition(vec![[Node(1)].into(), [Node(2), Node(3)].into()]);
        assert_eq!(arrivals(&mut network, ROUTE, 9), []);
        assert_eq!(arrivals(&mut network, (Node(2), Node(3), Link(0)), 9).len(), 9);
        network.heal();
        assert_eq!(arrivals(&mut network, ROUTE, 9).len(), 9);
    }
}
