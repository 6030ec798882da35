//! Recordings as text.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use host::recorder::format::{Header, Kind, Time};
use host::replay::{Segment, describe, read, segments, show_time};

use crate::Verdict;

/// Prints every record of every segment.
pub(crate) fn print(paths: &[PathBuf]) -> Verdict {
    let mut out = Out::new();
    let verdict = for_each_segment(paths, |segment| {
        out.line(&format!("== {}", segment.path.display()));
        out.line(&format!("== {}", about(&segment.header)));
        for entry in &segment.entries {
            out.line(&format!("{} {}", show_time(entry), describe(entry)));
        }
    });
    out.end(verdict)
}

fn about(header: &Header) -> String {
    let Header { daemon, version, host, node, pid, segment, .. } = header;
    let start = match (segment, header.has_snapshot, header.after_loss) {
        (0, ..) => "from process start",
        (_, true, false) => "from a snapshot",
        (_, true, true) => "from a snapshot, after a loss",
        (_, false, true) => "after a loss, without a snapshot",
        (_, false, false) => "goes on without a snapshot",
    };
    format!(
        "{daemon} {version} on {host} (node {node}, pid {pid}), segment {segment} of its life, {start}"
    )
}

/// Prints the records of all recordings in the order of their wall clocks:
/// those of one recording stay in their order also where its clock was set back.
pub(crate) fn timeline(paths: &[PathBuf]) -> Verdict {
    let mut lines: Vec<(i64, String)> = Vec::new();
    let verdict = for_each_segment(paths, |segment| {
        let Header { daemon, node, .. } = &segment.header;
        let mut latest = segment.header.at.unwrap_or_default().wall;
        for entry in &segment.entries {
            latest = latest.max(wall(entry).unwrap_or(latest));
            let text = format!("{} n{node} {daemon} {}", show_time(entry), describe(entry));
            lines.push((latest, text));
        }
    });
    lines.sort_by_key(|(wall, _)| *wall);
    let mut out = Out::new();
    lines.iter().for_each(|(_, text)| out.line(text));
    out.end(verdict)
}

fn wall(entry: &Kind) -> Option<i64> {
    let at: Option<Time> = match entry {
        Kind::Input(input) => input.at,
        Kind::Deadline(deadline) => deadline.at,
        Kind::Header(_)
        | Kind::Snapshot(_)
        | Kind::Outputs(_)
        | Kind::Dropped(_)
        | Kind::End(_) => None,
    };
    at.map(|at| at.wall)
}

/// What cannot be read is said on standard error, and the rest goes on.
fn for_each_segment(paths: &[PathBuf], mut use_it: impl FnMut(&Segment)) -> Verdict {
    let mut verdict = Verdict::Same;
    let mut complain = |path: &PathBuf, why: &dyn std::fmt::Display| {
        eprintln!("systole-replay: {}: {why}", path.display());
        verdict = Verdict::Incomplete;
    };
    for path in paths {
        let files = match segments(path) {
            Ok(files) if files.is_empty() => {
                complain(path, &"there is no recording in it");
                continue;
            }
            Ok(files) => files,
            Err(error) => {
                complain(path, &error);
                continue;
            }
        };
        for file in files {
            match read(&file) {
                Ok(segment) => {
                    use_it(&segment);
                    if let Some(damage) = &segment.damage {
                        complain(&file, damage);
                    }
                }
                Err(why) => complain(&file, &why),
            }
        }
    }
    verdict
}

/// Standard output, until its reader has had enough.
pub(crate) struct Out {
    writer: BufWriter<io::StdoutLock<'static>>,
    closed: bool,
}

impl Out {
    pub(crate) fn new() -> Self {
        Self { writer: BufWriter::new(io::stdout().lock()), closed: false }
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.closed = self.closed || writeln!(self.writer, "{text}").is_err();
    }

    pub(crate) fn end(mut self, verdict: Verdict) -> Verdict {
        let _ = self.writer.flush();
        verdict
    }
}
