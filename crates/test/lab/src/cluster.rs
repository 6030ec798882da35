//! A lab as scenarios see it.

use std::time::Duration;

use checkers::Interval;
use observe::{Node, Observation};
use scenario::{Action, Cluster, NodeSet, PowerMode, Resource};

use crate::client::{Lab, join};
use crate::{journal, plants, procs};

/// How long the loss of a daemon may keep its node from acting.
const RESPAWN_NS: u64 = 30_000_000_000;

/// Sees every observation as it comes.
pub(crate) type Watch = Box<dyn FnMut(&Observation)>;

/// A lab and what has been read of its journals.
pub(crate) struct LabCluster {
    pub(crate) lab: Lab,
    pub(crate) resources: Vec<Resource>,
    reader: journal::Reader,
    /// The last table of the audit.
    pub(crate) table: String,
    /// Stretches in which a node could not act, because of what was done to it.
    pub(crate) unable: Vec<Interval>,
    /// Called with each batch of observations, for who watches.
    pub(crate) watch: Option<Watch>,
}

impl LabCluster {
    pub(crate) fn new(lab: Lab, resources: Vec<Resource>) -> Self {
        let reader = journal::Reader::new(lab.dir().power_journal(), lab.dir().journals());
        LabCluster { lab, resources, reader, table: String::new(), unable: Vec::new(), watch: None }
    }

    /// The audit at the end: nodes that still start are waited for.
    pub(crate) fn verify_whole(&mut self) -> Result<(), String> {
        let mut outcome = Ok(());
        let whole = procs::wait_until(Duration::from_secs(60), || {
            outcome = self.verify();
            outcome.is_err() || !self.table.lines().any(|line| line.ends_with(" starting"))
        });
        if whole { outcome } else { Err("a node does not finish its start".into()) }
    }

    fn cannot_act(&mut self, nodes: &NodeSet, to: u64) {
        let from = journal::now();
        self.unable.extend(nodes.iter().map(|node| Interval { node: *node, from, to }));
    }

    fn order(&self, words: &[&str]) -> Result<(), String> {
        self.lab.order(words).map(drop)
    }
}

fn text(nodes: &NodeSet) -> String {
    join(&nodes.iter().map(|Node(n)| *n).collect::<Vec<_>>())
}

impl Cluster for LabCluster {
    fn now(&self) -> u64 {
        journal::now()
    }

    fn apply(&mut self, action: &Action<NodeSet>) -> Result<(), String> {
        match action {
            Action::Start(n) => self.order(&["start", &text(n)]),
            Action::Stop(n) => self.order(&["stop", &text(n)]),
            Action::Kill(n) => self.order(&["kill", &text(n)]),
            Action::Boot(n) => self.order(&["boot", &text(n)]),
            Action::Freeze(n) => {
                self.cannot_act(n, u64::MAX);
                self.order(&["freeze", &text(n)])
            }
            Action::Thaw(n) => {
                let now = journal::now();
                let frozen = |i: &&mut Interval| n.contains(&i.node) && i.to == u64::MAX;
                self.unable.iter_mut().filter(frozen).for_each(|i| i.to = now);
                self.order(&["thaw", &text(n)])
            }
            Action::KillDaemon(n, daemon) => {
                self.cannot_act(n, journal::now() + RESPAWN_NS);
                self.order(&["kill-daemon", &text(n), daemon])
            }
            Action::Cut(sides) => {
                let sides: Vec<String> = sides.iter().map(text).collect();
                let words = std::iter::once("cut").chain(sides.iter().map(String::as_str));
                self.order(&words.collect::<Vec<_>>())
            }
            Action::OneWay(from, to) => self.order(&["one-way", &text(from), &text(to)]),
            Action::Heal => self.order(&["heal"]),
            Action::Loss(per_mille) => self.order(&["loss", &per_mille.to_string()]),
            Action::Slow(ms) => self.order(&["slow", &ms.to_string()]),
            Action::Power(mode, n) => self.order(&["power", mode_word(*mode), &text(n)]),
            Action::Plant(plant, n) => {
                n.iter().try_for_each(|Node(node)| plants::plant(self, *plant, *node))
            }
        }
    }

    fn advance(&mut self, deadline: u64) -> Result<Vec<Observation>, String> {
        loop {
            let seen = self.reader.read()?;
            if let Some(watch) = &mut self.watch {
                seen.iter().for_each(watch);
            }
            if !seen.is_empty() || journal::now() >= deadline {
                return Ok(seen);
            }
            if !self.lab.is_running() {
                return Err("the lab ended".into());
            }
            std::thread::sleep(procs::PAUSE);
        }
    }

    fn verify(&mut self) -> Result<(), String> {
        match self.lab.audit() {
            Ok(table) => {
                self.table = table;
                Ok(())
            }
            Err((why, table)) => {
                self.table = table;
                Err(why)
            }
        }
    }
}

fn mode_word(mode: PowerMode) -> &'static str {
    match mode {
        PowerMode::Ok => "ok",
        PowerMode::Fail => "fail",
        PowerMode::Hang => "hang",
        PowerMode::Lie => "lie",
    }
}
