//! Reading recordings from disk.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::recorder::format::{Damage, Entries, Header, Kind};
use crate::recorder::{segment_name, segment_numbers};

/// A segment larger than this is none of ours.
const SEGMENT_MAX: u64 = 1 << 30;

/// A segment as far as it can be read.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// Who recorded it.
    pub header: Header,
    /// What follows the header.
    pub entries: Vec<Kind>,
    /// Where reading had to stop before the end, and why.
    pub damage: Option<Damage>,
}

/// Why a file is no segment.
#[derive(Debug)]
pub enum ReadError {
    /// The system refused.
    System(io::Error),
    /// It is not in the format.
    Damage(Damage),
    /// It is larger than any segment.
    TooLong(u64),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "{error}"),
            Self::Damage(damage) => write!(f, "{damage}"),
            Self::TooLong(len) => write!(f, "{len} bytes are more than a segment can have"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// The segments of a recorder's folder, oldest first; a file is itself.
pub fn segments(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let numbers = segment_numbers(path)?;
    Ok(numbers.into_iter().map(|number| path.join(segment_name(number))).collect())
}

/// Reads a segment. Damage behind the header is no error: what stands before
/// it is good, and often what one wants to see.
pub fn read(path: &Path) -> Result<Segment, ReadError> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > SEGMENT_MAX {
        return Err(ReadError::TooLong(len));
    }
    file.take(SEGMENT_MAX).read_to_end(&mut bytes)?;
    let mut entries = Entries::of(&bytes)?;
    let header = match entries.next() {
        Some(Ok(Kind::Header(header))) => header,
        Some(Err(damage)) => return Err(damage.into()),
        Some(Ok(_)) | None => {
            let what = "its first entry is no header".to_string();
            return Err(Damage { at: crate::recorder::format::MAGIC.len(), what }.into());
        }
    };
    let mut segment = Segment { path: path.into(), header, entries: Vec::new(), damage: None };
    for entry in entries {
        match entry {
            Ok(entry) => segment.entries.push(entry),
            Err(damage) => segment.damage = Some(damage),
        }
    }
    Ok(segment)
}
