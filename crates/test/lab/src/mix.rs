//! Which stack runs where: the mix asked for, and the daemons it speaks of.

use std::fmt;
use std::path::{Path, PathBuf};

/// A daemon of the stack and the place where its callers expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its name as a process.
    pub name: &'static str,
    /// Its path in a node.
    pub path: &'static str,
    /// Daemons that may end and come back when it is killed: its clients that
    /// do not survive the loss of its connection.
    pub followers: &'static [&'static str],
}

/// All daemons that a node runs, in order of their start.
pub const DAEMONS: &[Daemon] = &[
    Daemon { name: "corosync", path: "/usr/sbin/corosync", followers: EVERYONE },
    Daemon { name: "pacemakerd", path: "/usr/sbin/pacemakerd", followers: EVERYONE },
    Daemon {
        name: "pacemaker-based",
        path: "/usr/lib/pacemaker/pacemaker-based",
        followers: &["pacemaker-fenced", "pacemaker-attrd", "pacemaker-controld"],
    },
    Daemon {
        name: "pacemaker-fenced",
        path: "/usr/lib/pacemaker/pacemaker-fenced",
        followers: &["pacemaker-controld"],
    },
    Daemon {
        name: "pacemaker-execd",
        path: "/usr/lib/pacemaker/pacemaker-execd",
        followers: &["pacemaker-controld"],
    },
    Daemon { name: "pacemaker-attrd", path: "/usr/lib/pacemaker/pacemaker-attrd", followers: &[] },
    Daemon {
        name: "pacemaker-schedulerd",
        path: "/usr/lib/pacemaker/pacemaker-schedulerd",
        followers: &["pacemaker-controld"],
    },
    Daemon {
        name: "pacemaker-controld",
        path: "/usr/lib/pacemaker/pacemaker-controld",
        followers: &[],
    },
];

const EVERYONE: &[&str] = &[
    "pacemakerd",
    "pacemaker-based",
    "pacemaker-fenced",
    "pacemaker-execd",
    "pacemaker-attrd",
    "pacemaker-schedulerd",
    "pacemaker-controld",
];

/// The daemon of this name.
pub fn daemon(name: &str) -> Option<&'static Daemon> {
    DAEMONS.iter().find(|d| d.name == name)
}

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// The distribution's packages.
    Reference,
    /// A tree made by `cargo xtask dist`.
    Ours,
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stack::Reference => "reference",
            Stack::Ours => "ours",
        })
    }
}

/// The mix: `reference`, `ours`, or rules with commas, where a later one wins:
/// `n2=ours`, `n2:pacemaker-attrd=ours`, `all:pacemaker-attrd=ours`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    node: Option<u32>,
    daemon: Option<&'static str>,
    stack: Stack,
}

impl Mix {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        Ok(Mix { rules: words.map(rule).collect::<Result<_, _>>()? })
    }

    /// What a daemon on a node has to be.
    pub fn stack_of(&self, node: u32, daemon: &str) -> Stack {
        let applies = |rule: &&Rule| {
            rule.node.is_none_or(|n| n == node) && rule.daemon.is_none_or(|d| d == daemon)
        };
        self.rules.iter().rev().find(applies).map_or(Stack::Reference, |rule| rule.stack)
    }

    /// The daemons of a node that are ours.
    pub fn ours(&self, node: u32) -> Vec<&'static Daemon> {
        DAEMONS.iter().filter(|d| self.stack_of(node, d.name) == Stack::Ours).collect()
    }

    /// The highest node that a rule names.
    pub fn highest_node(&self) -> u32 {
        self.rules.iter().filter_map(|rule| rule.node).max().unwrap_or(0)
    }
}

fn rule(word: &str) -> Result<Rule, String> {
    let (place, stack) = word.split_once('=').unwrap_or(("all", word));
    let stack = match stack {
        "reference" => Stack::Reference,
        "ours" => Stack::Ours,
        _ => return Err(format!("\"{word}\": a stack is \"reference\" or \"ours\"")),
    };
    let (node, name) = place.split_once(':').map_or((place, None), |(n, d)| (n, Some(d)));
    let node = match node.strip_prefix('n').map(str::parse) {
        _ if node == "all" => None,
        Some(Ok(number)) if number > 0 => Some(number),
        _ => return Err(format!("\"{word}\": a place is n2, n2:DAEMON or all:DAEMON")),
    };
    let known = || DAEMONS.iter().map(|d| d.name).collect::<Vec<_>>().join(", ");
    let daemon = name
        .map(|name| {
            daemon(name)
                .map(|d| d.name)
                .ok_or_else(|| format!("\"{word}\": no such daemon; there are {}", known()))
        })
        .transpose()?;
    Ok(Rule { node, daemon, stack })
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = |n: Option<u32>| n.map_or("all".to_string(), |n| format!("n{n}"));
        let text = |rule: &Rule| match (rule.node, rule.daemon) {
            (None, None) => rule.stack.to_string(),
            (n, None) => format!("{}={}", node(n), rule.stack),
            (n, Some(daemon)) => format!("{}:{daemon}={}", node(n), rule.stack),
        };
        if self.rules.is_empty() {
            return f.write_str("reference");
        }
        f.write_str(&self.rules.iter().map(text).collect::<Vec<_>>().join(","))
    }
}

/// Where the file of `daemon` is that a node has to run, seen from the host.
/// `base` is the root of the nodes' system: `/`, or the image.
pub fn source(daemon: &Daemon, stack: Stack, base: &Path, dist: Option<&Path>) -> Option<PathBuf> {
    let relative = daemon.path.trim_start_matches('/');
    match stack {
        Stack::Reference => Some(base.join(relative)),
        Stack::Ours => dist.map(|dist| dist.join(relative)),
    }
}

/// Refuses a mix that the tree cannot provide.
pub fn check(mix: &Mix, nodes: u32, dist: Option<&Path>) -> Result<(), String> {
    if mix.highest_node() > nodes {
        return Err(format!(
            "the mix names n{}, the cluster has {nodes} nodes",
            mix.highest_node()
        ));
    }
    for node in 1..=nodes {
        for daemon in mix.ours(node) {
            let file = source(daemon, Stack::Ours, Path::new("/"), dist);
            match file {
                None => {
                    return Err(format!(
                        "n{node}: {} is to be ours, but no --dist DIR (cargo xtask dist DIR) is given",
                        daemon.name
                    ));
                }
                Some(file) if !file.is_file() => {
                    return Err(format!(
                        "n{node}: {} is to be ours, but {} does not exist",
                        daemon.name,
                        file.display()
                    ));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_applies_wins() {
        let mix = Mix::parse("ours, n1=reference, n1:pacemaker-attrd=ours").unwrap();
        assert_eq!(mix.stack_of(2, "corosync"), Stack::Ours);
        assert_eq!(mix.stack_of(1, "corosync"), Stack::Reference);
        assert_eq!(mix.stack_of(1, "pacemaker-attrd"), Stack::Ours);
        assert_eq!(mix.to_string(), "ours,n1=reference,n1:pacemaker-attrd=ours");
        assert_eq!(Mix::default().to_string(), "reference");
        assert_eq!(Mix::parse("").unwrap().stack_of(1, "corosync"), Stack::Reference);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, wanted) in [
            ("theirs", "a stack is"),
            ("x2=ours", "a place is"),
            ("n0=ours", "a place is"),
            ("n2:lrmd=ours", "no such daemon"),
        ] {
            assert!(Mix::parse(text).unwrap_err().contains(wanted), "{text}");
        }
        let mix = Mix::parse("n4=ours").unwrap();
        assert!(check(&mix, 3, None).unwrap_err().contains("the cluster has 3 nodes"));
        assert!(check(&mix, 4, None).unwrap_err().contains("no --dist DIR"));
        let tree = Path::new("/nonexistent");
        assert!(check(&mix, 4, Some(tree)).unwrap_err().contains("does not exist"));
    }
}
