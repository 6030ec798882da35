//! Membership, quorum and ordered messages, as the node's corosync gives them
//! to its own clients: one loop over its services `quorum` and `cpg`.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use observe::{Event, Node, RingId};
use qb_ipc::{BlockingClient, Error};

use super::Reporter;
use super::services::{self, CpgEvent, QuorumEvent};

/// Between two tries to reach a corosync that is not there.
const RETRY: Duration = Duration::from_millis(50);
/// Between two messages of this probe to all others.
const SEND_EVERY: Duration = Duration::from_millis(300);
/// At most so long between two looks for planted orders.
const TICK_MS: u16 = 100;
/// How long a service may take to answer.
const ANSWER: Option<Duration> = Some(Duration::from_secs(5));

/// Reports until the node ends.
pub(super) fn watch(reporter: &Reporter) -> ! {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A probe's life names its messages; numbers go on over corosync's restarts.
    let epoch = u64::try_from(since.as_nanos()).unwrap_or(0);
    let mut number = 0;
    loop {
        if let Ok(mut session) = Session::open(reporter, epoch, &mut number) {
            // It ends when corosync does.
            while session.step().is_ok() {}
        }
        thread::sleep(RETRY);
    }
}

/// The life of one corosync, seen by its clients.
struct Session<'a> {
    reporter: &'a Reporter,
    quorum: BlockingClient,
    cpg: BlockingClient,
    epoch: u64,
    number: &'a mut u64,
    next_send: Instant,
    /// The last view and verdict reported, with its ring.
    view: Option<(RingId, BTreeSet<Node>)>,
    verdict: Option<(RingId, bool)>,
    /// The ring of deliveries: they and its changes come in one order.
    ring: Option<(RingId, BTreeSet<Node>)>,
    /// The nodes whose probes are in the group.
    group: BTreeSet<Node>,
    /// A delivery that a planted order holds back.
    held: Option<Event>,
}

impl<'a> Session<'a> {
    fn open(reporter: &'a Reporter, epoch: u64, number: &'a mut u64) -> Result<Self, Error> {
        let mut quorum = BlockingClient::connect("quorum", services::BUFFER)?;
        for (id, body) in services::quorum_tracking() {
            services::accepted(&quorum.request(id, &body, ANSWER)?)?;
        }
        let mut cpg = BlockingClient::connect("cpg", services::BUFFER)?;
        reporter.report(Event::RingUp);
        let (id, body) = services::cpg_join(std::process::id());
        services::accepted(&cpg.request(id, &body, ANSWER)?)?;
        Ok(Session {
            reporter,
            quorum,
            cpg,
            epoch,
            number,
            next_send: Instant::now(),
            view: None,
            verdict: None,
            ring: None,
            group: BTreeSet::new(),
            held: None,
        })
    }

    /// Waits for what comes next, and reports it.
    fn step(&mut self) -> Result<(), Error> {
        let readable = PollFlags::POLLIN;
        let mut fds =
            [PollFd::new(self.quorum.fd(), readable), PollFd::new(self.cpg.fd(), readable)];
        // Interrupted or not, both connections are looked at.
        let _ = poll(&mut fds, PollTimeout::from(TICK_MS));
        while let Some(frame) = pending(&mut self.quorum)? {
            if let Some(event) = services::quorum_event(frame.id, &frame.body) {
                self.membership(event);
            }
        }
        while let Some(frame) = pending(&mut self.cpg)? {
            if let Some(event) = services::cpg_event(frame.id, &frame.body) {
                self.message(event);
            }
        }
        self.false_view();
        self.send()
    }

    fn membership(&mut self, event: QuorumEvent) {
        let (ring, members) = match &event {
            QuorumEvent::Members { ring, members } | QuorumEvent::Verdict { ring, members, .. } => {
                (*ring, members)
            }
        };
        if self.view.as_ref().is_none_or(|(last, _)| *last != ring) && !members.is_empty() {
            self.view = Some((ring, members.clone()));
            self.reporter.report(Event::View { ring, members: members.clone() });
        }
        if let QuorumEvent::Verdict { ring, quorate, members } = event
            && !members.is_empty()
            && self.verdict != Some((ring, quorate))
        {
            self.verdict = Some((ring, quorate));
            self.reporter.report(Event::Quorum { ring, quorate });
        }
    }

    fn message(&mut self, event: CpgEvent) {
        let (sender, epoch, number) = match event {
            CpgEvent::Ring { ring, members } => {
                self.ring = Some((ring, members));
                return;
            }
            CpgEvent::Group(nodes) => {
                self.group = nodes;
                return;
            }
            CpgEvent::Message { sender, epoch, number } => (sender, epoch, number),
        };
        let Some((ring, _)) = self.ring else { return };
        let group = services::GROUP.to_string();
        let delivery = Event::Deliver { ring, group, sender, number, epoch };
        if self.held.is_none() && self.reporter.planted().as_deref() == Some("reorder") {
            self.held = Some(delivery);
            self.reporter.planted_is_done();
            return;
        }
        self.reporter.report(delivery);
        if let Some(held) = self.held.take() {
            self.reporter.report(held);
        }
    }

    /// A planted order: the same ring with a member less.
    fn false_view(&mut self) {
        if self.reporter.planted().as_deref() != Some("false-view") {
            return;
        }
        let Some((ring, mut members)) = self.view.clone() else { return };
        let own = Node(self.reporter.node);
        let Some(other) = members.iter().rev().find(|n| **n != own).copied() else { return };
        members.remove(&other);
        self.reporter.report(Event::View { ring, members });
        self.reporter.planted_is_done();
    }

    /// Sends the next message, when every node of the ring is there to deliver
    /// it: then all see a ring's messages from the first on.
    fn send(&mut self) -> Result<(), Error> {
        let Some((_, members)) = &self.ring else { return Ok(()) };
        if Instant::now() < self.next_send || !members.is_subset(&self.group) {
            return Ok(());
        }
        self.next_send = Instant::now() + SEND_EVERY;
        let (id, body) = services::cpg_message(self.epoch, *self.number + 1);
        match self.cpg.send_request(id, &body) {
            Ok(()) => *self.number += 1,
            // Held back while a membership forms: the number is not used up.
            Err(Error::Again) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }
}

/// The next event, if one is there.
fn pending(client: &mut BlockingClient) -> Result<Option<sansio::edge::Frame>, Error> {
    match client.recv_event(Some(Duration::ZERO)) {
        Ok(frame) => Ok(Some(frame)),
        Err(Error::TimedOut | Error::Again) => Ok(None),
        Err(other) => Err(other),
    }
}
