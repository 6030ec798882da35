//! Replay: the same core, the same inputs, the same times, without the world.
//!
//! Segments are played in their order. A core comes from the process's start
//! (made again from the header's setup) or from a snapshot; where neither is
//! to be had, or inputs are missing, replay says so and goes on at the next
//! segment that has one. After each record the digest of the outputs is
//! compared with the recorded one, and at each snapshot the core's own with it.

mod read;
mod show;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use sansio::edge::Daemon;
use sansio::{Elided, Mono, Now, Wall};

use crate::recorder::format::{self, Header, Kind, Time};
use crate::recorder::{CONTINUED, Digest, PANICKED};

pub use read::{ReadError, Segment, read, segments};
pub use show::{describe, show_time};

/// What replay did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Inputs given to a core.
    pub inputs: u64,
    /// Deadlines handled by it.
    pub deadlines: u64,
    /// Outputs that it produced.
    pub outputs: u64,
    /// Records whose outputs were compared and found equal.
    pub verified: u64,
    /// Snapshots that were equal to the core's own.
    pub snapshots_verified: u64,
    /// Where the core did something else than recorded.
    pub differences: Vec<String>,
    /// What could not be replayed, and why.
    pub missing: Vec<String>,
}

impl Report {
    /// Whether everything replayed was as recorded.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }
}

/// What happens during a replay, for whoever prints it.
#[derive(Debug)]
pub enum Step<'a, O> {
    /// A record is played.
    Record(&'a Kind),
    /// The core wants something done.
    Output(&'a O),
    /// Replay has something to say: a difference, or what it cannot do.
    Note(&'a str),
}

/// Plays segments (see [`segments`]). `make` makes the core of a process start
/// from the time and the setup in the header.
pub fn replay<D: Daemon>(
    paths: &[PathBuf],
    make: impl Fn(Now, &[u8]) -> Result<D, String>,
    mut tell: impl FnMut(Step<'_, D::Output>),
) -> Report {
    let mut player =
        Player { core: None, pending: Pending::None, life: None, report: Report::default() };
    for path in paths {
        match read(path) {
            Ok(segment) => player.play(&segment, &make, &mut tell),
            Err(why) => player.miss(&format!("{}: {why}", path.display()), &mut tell),
        }
    }
    player.report
}

struct Player<D: Daemon> {
    core: Option<D>,
    pending: Pending,
    /// The life that the core is in, when the next segment can go on with it.
    life: Option<Life>,
    report: Report,
}

/// A process, and the segment of it that comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Life {
    pid: u32,
    started_wall: u64,
    next: u64,
}

/// Outputs of the last record, not compared yet.
#[derive(Clone, Copy)]
enum Pending {
    None,
    Outputs { number: u64, digest: Digest },
}

impl<D: Daemon> Player<D> {
    fn play(
        &mut self,
        segment: &Segment,
        make: &impl Fn(Now, &[u8]) -> Result<D, String>,
        tell: &mut impl FnMut(Step<'_, D::Output>),
    ) {
        let name = segment.path.display().to_string();
        let header = &segment.header;
        self.begin(&name, header, make, tell);
        let life =
            Life { pid: header.pid, started_wall: header.started_wall, next: header.segment + 1 };
        for entry in &segment.entries {
            tell(Step::Record(entry));
            self.entry(entry, &name, tell);
            let continues = matches!(entry, Kind::End(end) if end.why == CONTINUED);
            self.life = continues.then_some(life);
        }
        if let Some(damage) = &segment.damage {
            self.lose_core(&format!("{name}: {damage}; what follows cannot be replayed"), tell);
        }
    }

    /// Goes on with the core of the segment before, or gets another one.
    fn begin(
        &mut self,
        name: &str,
        header: &Header,
        make: &impl Fn(Now, &[u8]) -> Result<D, String>,
        tell: &mut impl FnMut(Step<'_, D::Output>),
    ) {
        let before =
            Life { pid: header.pid, started_wall: header.started_wall, next: header.segment };
        let follows = self.life.take() == Some(before) && !header.after_loss;
        if follows && self.core.is_some() {
            return;
        }
        self.core = None;
        self.pending = Pending::None;
        if header.segment > 0 {
            if !header.has_snapshot {
                let reason = match (header.after_loss, header.snapshot_missing.as_str()) {
                    (true, _) => "it follows lost records and has no snapshot".to_string(),
                    (false, "") => {
                        "it begins in the middle of a life and has no snapshot".to_string()
                    }
                    (false, why) => format!("its snapshot is missing: {why}"),
                };
                self.miss(&format!("{name} cannot be replayed: {reason}"), tell);
            }
            return;
        }
        let now = now(header.at);
        match make(now, &header.setup) {
            Ok(core) => {
                self.core = Some(core);
                self.collect(0, tell);
            }
            Err(why) => {
                self.miss(&format!("{name}: no core from the setup in its header: {why}"), tell);
            }
        }
    }

    fn entry(&mut self, entry: &Kind, name: &str, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        match entry {
            Kind::Header(_) => self.lose_core(&format!("{name} has a second header"), tell),
            Kind::Snapshot(snapshot) => self.snapshot(&snapshot.state, name, tell),
            Kind::Input(input) => {
                self.settle(tell);
                self.input(input, tell);
            }
            Kind::Deadline(deadline) => {
                self.settle(tell);
                self.deadline(deadline, tell);
            }
            Kind::Outputs(outputs) => self.outputs(outputs, tell),
            Kind::Dropped(dropped) => {
                self.miss(
                    &format!("{} records before this segment were lost", dropped.count),
                    tell,
                );
            }
            Kind::End(end) if end.why == PANICKED => self.pending = Pending::None,
            Kind::End(_) => self.settle(tell),
        }
    }

    fn snapshot(&mut self, state: &[u8], name: &str, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        let Some(core) = &self.core else {
            match D::resume(state) {
                Ok(core) => self.core = Some(core),
                Err(why) => self.miss(&format!("{name}: its snapshot cannot be read: {why}"), tell),
            }
            return;
        };
        if core.snapshot().as_deref() == Some(state) {
            self.report.snapshots_verified += 1;
        } else {
            self.differ(&format!("{name}: the core's state is not the recorded snapshot"), tell);
        }
    }

    fn input(&mut self, input: &format::Input, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        let Some(core) = &mut self.core else { return };
        let elided = input.elided.map(|e| Elided { len: e.len, hash: e.hash });
        let restored = match D::restore(&input.kind, &input.body, elided) {
            Ok(restored) => restored,
            Err(why) => {
                let text =
                    format!("record {} ({}) cannot be replayed: {why}", input.number, input.kind);
                return self.lose_core(&text, tell);
            }
        };
        let handled = catch_unwind(AssertUnwindSafe(|| core.handle(now(input.at), restored)));
        self.report.inputs += 1;
        self.after(handled.is_ok(), input.number, tell);
    }

    fn deadline(
        &mut self,
        deadline: &format::Deadline,
        tell: &mut impl FnMut(Step<'_, D::Output>),
    ) {
        let Some(core) = &mut self.core else { return };
        let (number, due) = (deadline.number, core.poll_timeout());
        if due != Some(Mono(deadline.due)) {
            let wanted = due.map_or("none".to_string(), |due| due.to_string());
            let text = format!(
                "record {number}: the recorded core wanted to be woken at {}, this one wants {wanted}",
                Mono(deadline.due)
            );
            return self.differ(&text, tell);
        }
        let handled = catch_unwind(AssertUnwindSafe(|| core.handle_timeout(now(deadline.at))));
        self.report.deadlines += 1;
        self.after(handled.is_ok(), number, tell);
    }

    fn after(&mut self, handled: bool, number: u64, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        if handled {
            return self.collect(number, tell);
        }
        self.lose_core(&format!("record {number}: the core panics"), tell);
    }

    /// Drains the core and keeps the digest for comparison.
    fn collect(&mut self, number: u64, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        let Some(core) = &mut self.core else { return };
        let mut digest = Digest::default();
        while let Some(output) = core.poll_output() {
            digest.add(&output);
            tell(Step::Output(&output));
        }
        self.report.outputs += digest.count;
        self.pending = Pending::Outputs { number, digest };
    }

    fn outputs(&mut self, outputs: &format::Outputs, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        let Pending::Outputs { number, digest } =
            std::mem::replace(&mut self.pending, Pending::None)
        else {
            return;
        };
        if (digest.count, digest.hash) == (outputs.count, outputs.digest) {
            self.report.verified += 1;
            return;
        }
        let (recorded, count) = (outputs.count, digest.count);
        let text = if recorded == count {
            format!("record {number}: {count} outputs, but others than recorded")
        } else {
            format!("record {number}: {count} outputs, recorded were {recorded}")
        };
        self.differ(&text, tell);
    }

    /// The next record comes without outputs in between: there were none.
    fn settle(&mut self, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        self.outputs(&format::Outputs { count: 0, digest: Digest::default().hash }, tell);
    }

    /// After a difference nothing that follows means anything.
    fn differ(&mut self, text: &str, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        tell(Step::Note(text));
        self.report.differences.push(text.to_string());
        self.core = None;
        self.pending = Pending::None;
    }

    fn lose_core(&mut self, text: &str, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        self.core = None;
        self.pending = Pending::None;
        self.miss(text, tell);
    }

    fn miss(&mut self, text: &str, tell: &mut impl FnMut(Step<'_, D::Output>)) {
        tell(Step::Note(text));
        self.report.missing.push(text.to_string());
    }
}

fn now(at: Option<Time>) -> Now {
    let at = at.unwrap_or_default();
    Now { mono: Mono(at.mono), wall: Wall(at.wall), utc_offset_s: at.utc_offset_s }
}
