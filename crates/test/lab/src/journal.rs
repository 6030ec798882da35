//! Journals of observations: files to which lines are appended, and their reading.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use observe::{Event, Node, Observation};

/// Nanoseconds of CLOCK_REALTIME, which all nodes of a machine share.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Appends one observation in one write, so that a kill leaves whole lines.
pub(crate) fn append(path: &Path, node: u32, event: Event) {
    let line = format!("{}\n", Observation { at: now(), node: Node(node), event });
    let file = OpenOptions::new().create(true).append(true).open(path);
    if let Err(e) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("lab: cannot write {}: {e}", path.display());
    }
}

/// Reads what is added to a set of journals.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    first: PathBuf,
    rest: PathBuf,
    offsets: BTreeMap<PathBuf, u64>,
}

impl Reader {
    /// `first` is the power switch's journal: a line in it is written after all
    /// that the node it switched off ever wrote, and so it is read before them.
    pub(crate) fn new(first: PathBuf, rest: PathBuf) -> Self {
        Reader { first, rest, offsets: BTreeMap::new() }
    }

    /// All whole lines since the last call, in order of time.
    pub(crate) fn read(&mut self) -> Result<Vec<Observation>, String> {
        let mut seen = Vec::new();
        self.read_file(&self.first.clone(), &mut seen)?;
        let entries = fs::read_dir(&self.rest).into_iter().flatten().filter_map(Result::ok);
        for entry in entries {
            self.read_file(&entry.path(), &mut seen)?;
        }
        seen.sort_by_key(|s| s.at);
        Ok(seen)
    }

    fn read_file(&mut self, path: &Path, seen: &mut Vec<Observation>) -> Result<(), String> {
        let Ok(mut file) = File::open(path) else { return Ok(()) };
        let offset = self.offsets.entry(path.to_path_buf()).or_default();
        let mut text = String::new();
        let read = file.seek(SeekFrom::Start(*offset)).and_then(|_| file.read_to_string(&mut text));
        read.map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        *offset += whole as u64;
        for line in text[..whole].lines() {
            seen.push(line.parse().map_err(|e| format!("{}: {e}", path.display()))?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_whole_lines_once_and_in_order() {
        let dir = std::env::temp_dir().join(format!("lab-journal-{}", std::process::id()));
        fs::create_dir_all(dir.join("obs")).unwrap();
        let mut reader = Reader::new(dir.join("power"), dir.join("obs"));
        fs::write(dir.join("obs/n1"), "30 n1 left\n50 n1 le").unwrap();
        fs::write(dir.join("power"), "20 n0 mark x\n").unwrap();
        let times = |seen: Vec<Observation>| seen.iter().map(|s| s.at).collect::<Vec<_>>();
        assert_eq!(times(reader.read().unwrap()), [20, 30]);
        fs::write(dir.join("obs/n1"), "30 n1 left\n50 n1 left\n").unwrap();
        assert_eq!(times(reader.read().unwrap()), [50]);
        fs::write(dir.join("obs/n2"), "what\n").unwrap();
        assert!(reader.read().unwrap_err().contains("a time in nanoseconds"));
        fs::remove_dir_all(dir).unwrap();
    }
}
