//! The demonstration: a service with a floating address survives the death of
//! its node, told as it happens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use observe::{Event, Node, Observation, PowerCause, RingId, Step};

use crate::client::Lab;
use crate::runner::{self, Outcome, RunOptions};
use crate::spec::Kind;
use crate::{NET, journal, layout::RunDir, requirements};

const SCENARIO: &str = "\
title     a service moves because its node is killed and fenced
nodes     3
resource  app ocf:heartbeat:Dummy
resource  vip ocf:heartbeat:IPaddr2 ip=10.{net}.0.100 cidr_netmask=24
group     service app vip

start all
within 30s quorate all
within 60s active service
hold 2s active service
name victim = holder(service)
kill $victim
within 60s fenced $victim
within 60s active service on rest($victim)
within 60s view all
within 60s agree all
hold 1s active service on rest($victim)
";

/// Runs it; false when it did not go as it should.
pub fn run(program: &Path) -> Result<bool, String> {
    requirements::check(Kind::Light)?;
    println!(
        "Three nodes on this machine, each with its own processes, network and disk; a service"
    );
    println!("(a program and the floating address {}); a power switch to fence with.", address());
    println!("The nodes run the REFERENCE stack, Debian's corosync and pacemaker: Systole's own");
    println!("daemons take their place here as soon as they can.\n");
    let scenario = scenario::parse(SCENARIO).map_err(|e| e.to_string())?;
    let story = Arc::new(Story::new());
    let teller = Arc::clone(&story);
    let mut narrator = Narrator::default();
    let watch = Box::new(move |seen: &Observation| {
        if let Some(text) = narrator.tell(seen) {
            teller.say(seen.at, &text);
        }
    });
    let mut ping = None;
    let ready = |lab: &Lab| {
        ping = Some(Pinger::start(lab, &story)?);
        follow_logs(lab.dir().clone(), Arc::clone(&story));
        Ok(())
    };
    let outcome = runner::run_scenario(&scenario, &RunOptions::new(program), Some(watch), ready);
    story.over.store(true, Ordering::Relaxed);
    drop(ping);
    let outcome = outcome?;
    conclude(&outcome, &story);
    Ok(outcome.passed())
}

fn address() -> String {
    format!("10.{NET}.0.100")
}

/// The timeline on the screen, written by several threads.
struct Story {
    began: u64,
    over: AtomicBool,
    /// When the address answered, and when it did not: first time of each stretch.
    answers: Mutex<Vec<(u64, bool)>>,
}

impl Story {
    fn new() -> Self {
        Story { began: journal::now(), over: AtomicBool::new(false), answers: Mutex::default() }
    }

    fn say(&self, at: u64, text: &str) {
        let ms = at.saturating_sub(self.began) / 1_000_000;
        println!("{:4}.{:02} s  {text}", ms / 1000, ms % 1000 / 10);
    }

    fn answer(&self, at: u64, reachable: bool) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.last().is_none_or(|(_, last)| *last != reachable) {
            if reachable || !answers.is_empty() {
                let word = if reachable { "answers" } else { "does NOT answer" };
                self.say(at, &format!("switch  the address {} {word}", address()));
            }
            answers.push((at, reachable));
        }
    }
}

/// Says in words what was observed; repetitions and background are left out.
#[derive(Default)]
struct Narrator {
    views: BTreeMap<Node, RingId>,
    quorate: BTreeMap<Node, bool>,
}

impl Narrator {
    fn tell(&mut self, seen: &Observation) -> Option<String> {
        let node = seen.node;
        match &seen.event {
            Event::View { ring, members } => {
                let known = self.views.insert(node, *ring) == Some(*ring);
                let list: Vec<String> = members.iter().map(Node::to_string).collect();
                (!known).then(|| format!("{node}      is in a membership with {}", list.join(" ")))
            }
            Event::Quorum { quorate, .. } => {
                let known = self.quorate.insert(node, *quorate) == Some(*quorate);
                let word = if *quorate { "has quorum" } else { "has no quorum" };
                (!known).then(|| format!("{node}      {word}"))
            }
            Event::Start { rsc, step: Step::Ok } => Some(format!("{node}      started {rsc}")),
            Event::Start { rsc, step: Step::Failed } => {
                Some(format!("{node}      FAILED to start {rsc}"))
            }
            Event::Stop { rsc, step: Step::Ok } => Some(format!("{node}      stopped {rsc}")),
            Event::Power { target, on: false, cause: PowerCause::Fault } => {
                self.quorate.remove(target);
                Some(format!(
                    "power   {target} is KILLED: no process and no interface of it is left"
                ))
            }
            Event::Power { target, on: false, .. } => {
                Some(format!("power   {target} is switched off"))
            }
            Event::Power { target, on: true, cause: PowerCause::Fence } => {
                Some(format!("power   {target} is switched on again and boots"))
            }
            Event::Fenced { target, ok } => {
                let word = if *ok {
                    "is fenced: it cannot touch the service any more"
                } else {
                    "could NOT be fenced"
                };
                Some(format!("power   {target} {word}"))
            }
            _ => None,
        }
    }
}

/// Tries the floating address from the switch all the time.
struct Pinger {
    child: Child,
}

impl Pinger {
    fn start(lab: &Lab, story: &Arc<Story>) -> Result<Self, String> {
        let address = address();
        let words = ["ping", "-n", "-O", "-i", "0.1", "-W", "1", address.as_str()];
        let mut command = lab.command_on_switch(&words)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| format!("ping: {e}"))?;
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        let story = Arc::clone(story);
        thread::spawn(move || {
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                if story.over.load(Ordering::Relaxed) {
                    return;
                }
                if line.contains("bytes from") && line.contains("time=") {
                    story.answer(journal::now(), true);
                } else if line.contains("no answer yet") || line.contains("Unreachable") {
                    story.answer(journal::now(), false);
                }
            }
        });
        Ok(Pinger { child })
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Words by which the reference's log says why something is done.
const REASONS: &[&str] = &[
    "will be fenced:",
    "Actions: Fence",
    "Actions: Move",
    "Actions: Recover",
    "Actions: Start",
    "Requesting fencing (reboot)",
    "New Configured Resource",
    "state is now lost",
];

/// Tells what the nodes' own logs give as reasons.
fn follow_logs(dir: RunDir, story: Arc<Story>) {
    thread::spawn(move || {
        let mut offsets: BTreeMap<PathBuf, u64> = BTreeMap::new();
        let mut told = Vec::new();
        while !story.over.load(Ordering::Relaxed) {
            for node in 1..=3 {
                let log = dir.node(node).join("disk/var/log/pacemaker/pacemaker.log");
                for line in new_lines(&log, offsets.entry(log.clone()).or_default()) {
                    if let Some(reason) = reason(&line).filter(|r| !told.contains(r)) {
                        story.say(journal::now(), &format!("n{node} log  {reason}"));
                        told.push(reason);
                    }
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
}

fn new_lines(path: &Path, offset: &mut u64) -> Vec<String> {
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    let mut text = Vec::new();
    if file.seek(SeekFrom::Start(*offset)).and_then(|_| file.read_to_end(&mut text)).is_err() {
        return Vec::new();
    }
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    *offset += whole as u64;
    String::from_utf8_lossy(&text[..whole]).lines().map(String::from).collect()
}

/// The message of a log line that gives a reason, without its origin.
fn reason(line: &str) -> Option<String> {
    let told = ["notice: ", "warning: "].iter().find_map(|level| line.split_once(level));
    let (origin, message) = told?;
    let by_one = !message.contains("state is now lost") || origin.contains("controld");
    let wanted = REASONS.iter().any(|word| message.contains(word)) && by_one;
    let message = message.split(" | ").next().unwrap_or(message);
    wanted.then(|| message.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn conclude(outcome: &Outcome, story: &Story) {
    println!();
    if let Some(failure) = &outcome.failure {
        println!("It did NOT go as it should: {failure}");
    }
    for violation in &outcome.violations {
        println!("A checker complains: {violation}");
    }
    let killed = outcome.trace.iter().find(|seen| {
        matches!(seen.event, Event::Power { on: false, cause: PowerCause::Fault, .. })
    });
    let answers = story.answers.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(killed) = killed else { return };
    let seconds = |ns: u64| format!("{}.{:02} s", ns / 1_000_000_000, ns / 10_000_000 % 100);
    let after = |pick: &dyn Fn(&Event) -> bool| {
        let found = outcome.trace.iter().find(|s| s.at > killed.at && pick(&s.event));
        found.map_or("never".into(), |s| seconds(s.at - killed.at))
    };
    println!("From the kill on:");
    println!(
        "  noticed by the others (membership)   {}",
        after(&|e| matches!(e, Event::View { .. }))
    );
    println!(
        "  fenced                               {}",
        after(&|e| matches!(e, Event::Fenced { ok: true, .. }))
    );
    println!(
        "  started elsewhere                    {}",
        after(&|e| matches!(e, Event::Start { rsc, step: Step::Ok } if rsc == "vip"))
    );
    let back = answers.iter().find(|(at, reachable)| *at > killed.at && *reachable);
    match back {
        Some((at, _)) => println!(
            "  the address answers again            {}  <- what a user noticed",
            seconds(at - killed.at)
        ),
        None => println!("  the address never answered again"),
    }
    let word = if outcome.passed() { "all kept" } else { "NOT all kept" };
    println!("Rules (one holder at a time, fencing before start, quorum, order, state): {word}.");
    println!("Nothing of it is left on this machine.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_a_scenario() {
        scenario::parse(SCENARIO).unwrap();
    }

    #[test]
    fn reasons_are_found_in_log_lines() {
        let line = "Nov 21 10:15:49 n3 pacemaker-schedulerd[22] (pe_fence_node) \twarning: Cluster node n2 will be fenced: peer is no longer part of the cluster | x=1";
        let wanted = "Cluster node n2 will be fenced: peer is no longer part of the cluster";
        assert_eq!(reason(line).as_deref(), Some(wanted));
        assert_eq!(reason("x info: Actions: Move"), None);
    }
}
