//! What a lab is asked to be.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use scenario::{Fencing, Scenario};

use crate::config::Cib;
use crate::layout::RunDir;
use crate::mix::Mix;

/// How real a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Namespaces over the host's own system; boots in a fraction of a second.
    Light,
    /// systemd as pid 1, dbus, pcsd, over an image of its own.
    Full,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Light => "light",
            Kind::Full => "full",
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "light" => Ok(Kind::Light),
            "full" => Ok(Kind::Full),
            _ => Err(format!("\"{text}\": a kind is \"light\" or \"full\"")),
        }
    }
}

/// Everything that decides what a lab is; its text form goes to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// How many nodes.
    pub nodes: u32,
    /// How real they are.
    pub kind: Kind,
    /// Totem transport: udpu, udp or knet.
    pub transport: String,
    /// Which stack runs where.
    pub mix: Mix,
    /// The tree of our programs.
    pub dist: Option<PathBuf>,
    /// The root of a full node's system.
    pub image: Option<PathBuf>,
    /// Agents (`ocf:provider:type`) whose calls are journalled.
    pub agents: Vec<String>,
    /// The cluster's configuration to begin with.
    pub cib: Cib,
}

impl Spec {
    /// Nodes of the reference stack with fencing and no resource.
    pub fn new(nodes: u32) -> Self {
        Spec {
            nodes,
            kind: Kind::Light,
            transport: "udpu".into(),
            mix: Mix::default(),
            dist: None,
            image: None,
            agents: Vec::new(),
            cib: Cib { nodes, fencing: true, ..Cib::default() },
        }
    }

    /// What a scenario's head asks for.
    pub fn of_scenario(scenario: &Scenario) -> Result<Self, String> {
        let mut spec = Spec::new(scenario.nodes);
        spec.transport.clone_from(&scenario.transport);
        spec.cib.fencing = scenario.fencing == Fencing::On;
        spec.cib.properties.clone_from(&scenario.properties);
        spec.cib.resources.clone_from(&scenario.resources);
        spec.cib.groups.clone_from(&scenario.groups);
        for resource in &scenario.resources {
            if resource.agent.split(':').count() != 3 || !resource.agent.starts_with("ocf:") {
                return Err(format!(
                    "resource {}: the lab observes ocf:PROVIDER:TYPE agents, not {}",
                    resource.id, resource.agent
                ));
            }
            if !spec.agents.contains(&resource.agent) {
                spec.agents.push(resource.agent.clone());
            }
        }
        Ok(spec)
    }

    /// The root of the nodes' system: the host's, or the image's.
    pub fn base(&self) -> &Path {
        self.image.as_deref().filter(|_| self.kind == Kind::Full).unwrap_or(Path::new("/"))
    }

    /// Writes the spec into the lab's directory.
    pub(crate) fn save(&self, dir: &RunDir) -> Result<(), String> {
        let mut text = format!(
            "nodes {}\nkind {}\ntransport {}\nmix {}\n",
            self.nodes, self.kind, self.transport, self.mix
        );
        for (word, path) in [("dist", &self.dist), ("image", &self.image)] {
            if let Some(path) = path {
                text += &format!("{word} {}\n", path.display());
            }
        }
        for agent in &self.agents {
            text += &format!("agent {agent}\n");
        }
        let failed = |e| format!("cannot write below {}: {e}", dir.path().display());
        fs::write(dir.spec(), text).map_err(failed)?;
        fs::write(dir.cib(), self.cib.to_string()).map_err(failed)
    }

    /// Reads what [`Spec::save`] wrote; the cluster's configuration stays in its file.
    pub(crate) fn load(dir: &RunDir) -> Result<Self, String> {
        let text = fs::read_to_string(dir.spec());
        let text = text.map_err(|e| format!("{}: {e}", dir.spec().display()))?;
        let mut spec = Spec::new(0);
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "nodes" => spec.nodes = rest.parse().map_err(|_| format!("nodes {rest}"))?,
                "kind" => spec.kind = rest.parse()?,
                "transport" => spec.transport = rest.to_string(),
                "mix" => spec.mix = Mix::parse(rest)?,
                "dist" => spec.dist = Some(rest.into()),
                "image" => spec.image = Some(rest.into()),
                "agent" => spec.agents.push(rest.to_string()),
                _ => return Err(format!("spec: \"{line}\"")),
            }
        }
        Ok(spec)
    }
}
