//! A daemon's state directory: what `Persist` promises, and what power loss does.
//!
//! The host writes a temporary file, syncs it, renames it and syncs the
//! directory; so a name shows its old content or its new one, never a torn one,
//! and what was answered survives. A *lying* disk breaks the second half: it
//! answers before the bytes are safe.

use std::collections::{BTreeMap, VecDeque};

use sansio::Rng;
use sansio::edge::PersistId;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How a node's disk behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskWeather {
    /// Least and most time for one write, in nanoseconds.
    pub latency_ns: (u64, u64),
    /// Share of writes that fail, per mille.
    pub fail: u32,
    /// No write succeeds.
    pub full: bool,
    /// What was answered may be lost with the power.
    pub lying: bool,
}

impl Default for DiskWeather {
    fn default() -> Self {
        Self { latency_ns: (100_000, 3_000_000), fail: 0, full: false, lying: false }
    }
}

/// What a crash did to the disk, for coverage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crash {
    /// Writes under way that left no trace.
    pub(crate) lost: u64,
    /// Writes under way that had reached the name.
    pub(crate) kept: u64,
    /// Answered writes that a lying disk forgot or tore.
    pub(crate) betrayed: u64,
}

#[derive(Debug)]
struct Write {
    id: PersistId,
    name: String,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct File {
    /// What a read gives; None: no such file.
    content: Option<Vec<u8>>,
    /// On a lying disk: what is really safe, if that is something else.
    safe: Option<Option<Vec<u8>>>,
}

/// The state directories of one node's daemons, by slot.
#[derive(Debug, Default)]
pub struct Disk {
    /// How it behaves now.
    pub weather: DiskWeather,
    files: BTreeMap<(usize, String), File>,
    writes: BTreeMap<usize, VecDeque<Write>>,
    busy_until: BTreeMap<usize, u64>,
}

impl Disk {
    /// The content of a daemon's file.
    pub fn read(&self, slot: usize, name: &str) -> Option<&[u8]> {
        self.files.get(&(slot, name.to_string()))?.content.as_deref()
    }

    /// Takes a write; it ends, by [`Disk::finish`], at the time that this
    /// returns. Writes of one daemon end in the order asked.
    pub(crate) fn begin(
        &mut self,
        rng: &mut Rng,
        now: u64,
        slot: usize,
        (id, name, bytes): (PersistId, String, Vec<u8>),
    ) -> u64 {
        let (least, most) = self.weather.latency_ns;
        let start = self.busy_until.get(&slot).copied().unwrap_or(0).max(now);
        let end = start + rng.range(least, most);
        self.busy_until.insert(slot, end);
        self.writes.entry(slot).or_default().push_back(Write { id, name, bytes });
        end
    }

    /// Ends the daemon's oldest write: its number, and the error number, 0 for
    /// success. None: there is none (any more).
    pub(crate) fn finish(&mut self, rng: &mut Rng, slot: usize) -> Option<(PersistId, i32)> {
        let write = self.writes.get_mut(&slot)?.pop_front()?;
        let id = write.id;
        if self.weather.full {
            return Some((id, ENOSPC));
        }
        if rng.chance(self.weather.fail) {
            return Some((id, EIO));
        }
        self.apply(slot, write);
        Some((id, 0))
    }

    fn apply(&mut self, slot: usize, write: Write) {
        let lying = self.weather.lying;
        let file = self.files.entry((slot, write.name)).or_default();
        let before = file.content.replace(write.bytes);
        if !lying {
            file.safe = None;
        } else if file.safe.is_none() {
            file.safe = Some(before);
        }
    }

    /// The daemon was killed: some of its writes under way, in their order, had
    /// reached their names.
    pub(crate) fn killed(&mut self, rng: &mut Rng, slot: usize) -> Crash {
        self.busy_until.remove(&slot);
        let mut crash = Crash::default();
        let writes = self.writes.remove(&slot).unwrap_or_default();
        let reached = rng.below(writes.len() as u64 + 1);
        for write in writes {
            if crash.kept < reached && !self.weather.full {
                crash.kept += 1;
                self.apply(slot, write);
            } else {
                crash.lost += 1;
            }
        }
        crash
    }

    /// The node lost its power.
    pub(crate) fn power_lost(&mut self, rng: &mut Rng) -> Crash {
        let mut crash = Crash::default();
        let slots: Vec<usize> = self.writes.keys().copied().collect();
        for slot in slots {
            let of_daemon = self.killed(rng, slot);
            crash.lost += of_daemon.lost;
            crash.kept += of_daemon.kept;
        }
        for file in self.files.values_mut() {
            let Some(safe) = file.safe.take() else { continue };
            match rng.below(3) {
                0 => continue,
                1 => file.content = safe,
                _ => tear(rng, &mut file.content),
            }
            crash.betrayed += 1;
        }
        crash
    }
}

fn tear(rng: &mut Rng, content: &mut Option<Vec<u8>>) {
    if let Some(bytes) = content {
        let left = usize::try_from(rng.below(bytes.len() as u64)).unwrap_or(0);
        bytes.truncate(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &mut Disk, rng: &mut Rng, number: u64, bytes: &[u8]) -> u64 {
        disk.begin(rng, 0, 0, (PersistId(number), "f".into(), bytes.to_vec()))
    }

    #[test]
    fn writes_end_in_order_and_are_then_readable() {
        let (mut disk, mut rng) = (Disk::default(), Rng::new(1));
        let first = write(&mut disk, &mut rng, 1, b"one");
        let second = write(&mut disk, &mut rng, 2, b"two");
        assert!(first < second);
        assert_eq!(disk.read(0, "f"), None);
        assert_eq!(disk.finish(&mut rng, 0), Some((PersistId(1), 0)));
        assert_eq!(disk.read(0, "f"), Some(&b"one"[..]));
        assert_eq!(disk.finish(&mut rng, 0), Some((PersistId(2), 0)));
        assert_eq!(disk.finish(&mut rng, 0), None);
        assert_eq!(disk.read(1, "f"), None, "another daemon's directory");
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let (mut disk, mut rng) = (Disk::default(), Rng::new(1));
        write(&mut disk, &mut rng, 1, b"one");
        disk.finish(&mut rng, 0);
        disk.weather.full = true;
        write(&mut disk, &mut rng, 2, b"two");
        assert_eq!(disk.finish(&mut rng, 0), Some((PersistId(2), ENOSPC)));
        disk.weather = DiskWeather { fail: 1000, ..DiskWeather::default() };
        write(&mut disk, &mut rng, 3, b"three");
        assert_eq!(disk.finish(&mut rng, 0), Some((PersistId(3), EIO)));
        assert_eq!(disk.read(0, "f"), Some(&b"one"[..]));
    }

    /// Contents after a power loss with one write answered and one under way.
    fn after_power_loss(lying: bool) -> std::collections::BTreeSet<Vec<u8>> {
        let after = |seed| {
            let (mut disk, mut rng) = (Disk::default(), Rng::new(seed));
            write(&mut disk, &mut rng, 1, b"zero");
            disk.finish(&mut rng, 0);
            disk.weather.lying = lying;
            write(&mut disk, &mut rng, 2, b"one");
            disk.finish(&mut rng, 0);
            write(&mut disk, &mut rng, 3, b"two");
            disk.power_lost(&mut rng);
            assert_eq!(disk.finish(&mut rng, 0), None, "nobody waits for the answer");
            disk.read(0, "f").unwrap().to_vec()
        };
        (0..200).map(after).collect()
    }

    #[test]
    fn power_loss_keeps_what_was_answered_and_never_tears() {
        assert_eq!(after_power_loss(false), [b"one".to_vec(), b"two".to_vec()].into());
    }

    #[test]
    fn a_lying_disk_forgets_and_tears() {
        let seen = after_power_loss(true);
        assert!(seen.contains(b"zero".as_slice()), "an answered write is forgotten");
        assert!(seen.contains(b"o".as_slice()), "an answered write is torn");
    }
}
