//! What a new ring changes.

use std::collections::BTreeMap;

use ha_types::Node;
use ring_service::SyncStart;
use sansio::edge::Conn;

use crate::message::{Message, Reason};
use crate::{Change, Cpg, Name, Process};

impl Cpg {
    /// A new ring: whoever has not come along is lost.
    pub fn sync_init(&mut self, start: &SyncStart) {
        self.listed.clear();
        self.ended = Some(Vec::new());
        self.members.clone_from(&start.members);
        self.ring = start.ring;
        self.lost = &self.old_members - &start.came_along;
        if sansio::mutant::active("CPG-1/weaken") {
            self.lost = &self.old_members - &start.members;
        }
    }

    /// Says which nodes are lost and which processes are here.
    pub fn sync_process(&mut self) {
        let old_members = u32::try_from(self.old_members.len()).unwrap_or(u32::MAX);
        let left = self.lost.iter().copied().collect();
        self.send(&Message::DownList { old_members, left }, Conn(0));
        let here = self.processes.iter().filter(|process| process.node == self.me);
        let here: Vec<_> = here.map(|process| (process.pid, process.group.clone())).collect();
        if !here.is_empty() {
            self.send(&Message::JoinList(here), Conn(0));
        }
    }

    /// All have listed theirs: first the lost nodes' processes leave, then the
    /// new ones join, then those leave that their node does not list, and last
    /// everybody is told of the ring [CPG-5].
    pub fn sync_activate(&mut self) {
        self.old_members.clone_from(&self.members);
        self.ended = None;
        self.drop_lost();
        self.add_listed();
        self.drop_unlisted();
        self.listed.clear();
        self.tell_ring();
    }

    /// The ring has gone before that.
    pub fn sync_abort(&mut self) {
        self.listed.clear();
    }

    pub(crate) fn list(&mut self, from: Node, entries: Vec<(u32, Name)>) {
        let ended = self.ended.as_deref().unwrap_or_default();
        let processes = entries.into_iter().map(|(pid, group)| Process { node: from, pid, group });
        self.listed.extend(processes.filter(|process| !ended.contains(process)));
    }

    /// [CPG-1] Processes of a lost node leave their groups, one change for each
    /// group, the groups by name.
    fn drop_lost(&mut self) {
        if sansio::mutant::active("CPG-1/remove") {
            return;
        }
        let processes = std::mem::take(&mut self.processes);
        let (gone, stay) = processes.into_iter().partition(|p| self.lost.contains(&p.node));
        self.processes = stay;
        for (group, left) in by_group(gone, Reason::NodeDown) {
            self.tell_change(&group, &[], &left);
        }
    }

    /// Processes that other nodes list join their groups. Nodes list in the
    /// order of delivery, clients are told the other way round.
    fn add_listed(&mut self) {
        let listed: Vec<Process> = self.listed.iter().rev().cloned().collect();
        let others = listed.into_iter().filter(|process| process.node != self.me);
        let others: Vec<Process> = others.collect();
        let new = others.into_iter().filter(|process| self.add(process.clone()));
        let new: Vec<Process> = new.collect();
        for (group, joined) in by_group(new, Reason::NodeUp) {
            self.tell_change(&group, &joined, &[]);
        }
    }

    /// [CPG-3] A process that its own node does not list any more has ended
    /// while nobody heard of it.
    fn drop_unlisted(&mut self) {
        if sansio::mutant::active("CPG-3/remove") {
            return;
        }
        let unlisted = |process: &&Process| {
            let same_group = !sansio::mutant::active("CPG-3/weaken");
            let is = |l: &Process| {
                (l.node, l.pid) == (process.node, process.pid)
                    && (!same_group || l.group == process.group)
            };
            process.node != self.me && !self.listed.iter().any(is)
        };
        let unlisted: Vec<Process> = self.processes.iter().filter(unlisted).cloned().collect();
        for process in unlisted {
            self.leave(&process, Reason::ProcDown.number());
        }
    }
}

fn by_group(processes: Vec<Process>, reason: Reason) -> BTreeMap<Name, Vec<Change>> {
    let mut groups: BTreeMap<Name, Vec<Change>> = BTreeMap::new();
    for Process { node, pid, group } in processes {
        groups.entry(group).or_default().push(Change { node, pid, reason: reason.number() });
    }
    groups
}
