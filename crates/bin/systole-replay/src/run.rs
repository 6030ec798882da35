//! Driving a core with its recording.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use host::replay::{Report, Step, describe, replay, segments, show_time};
use miniature::keeper::{self, Keeper};
use miniature::ring::{self, Ring};
use sansio::Now;
use sansio::edge::Daemon;

use crate::Verdict;
use crate::print::Out;

/// Replays the recording in `path` on the core of this name.
pub(crate) fn run(
    core: &str,
    from: Option<u64>,
    quiet: bool,
    path: &Path,
) -> Result<Verdict, String> {
    let files = segments(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let first = from.map(|number| format!("segment-{number:08}.flr"));
    let name = |file: &PathBuf| file.file_name().map(|name| name.to_string_lossy().into_owned());
    let files: Vec<PathBuf> = match &first {
        Some(first) => files.into_iter().skip_while(|f| name(f).as_ref() != Some(first)).collect(),
        None => files,
    };
    if files.is_empty() {
        return Err(format!("{} has no such segment", path.display()));
    }
    match core {
        "mini-ring" => Ok(play(&files, quiet, |now, setup| {
            let config = ring::Config::decode(setup).map_err(|why| why.to_string())?;
            Ok(Ring::new(now, config))
        })),
        "mini-keeper" => Ok(play(&files, quiet, |now, setup| {
            let config = keeper::Config::decode(setup).map_err(|why| why.to_string())?;
            Ok(Keeper::new(now, config))
        })),
        other => Err(format!("there is no core \"{other}\": mini-ring or mini-keeper")),
    }
}

fn play<D: Daemon>(
    files: &[PathBuf],
    quiet: bool,
    make: impl Fn(Now, &[u8]) -> Result<D, String>,
) -> Verdict
where
    D::Output: Debug,
{
    let mut out = Out::new();
    // A core that panics is part of what is shown; its backtrace is not.
    std::panic::set_hook(Box::new(|panic| eprintln!("systole-replay: {panic}")));
    let report = replay(files, make, |step| match step {
        Step::Note(text) => out.line(&format!("!! {text}")),
        _ if quiet => {}
        Step::Record(entry) => out.line(&format!("{} {}", show_time(entry), describe(entry))),
        Step::Output(output) => out.line(&format!("    -> {output:?}")),
    });
    out.line(&summary(&report));
    let verdict = match (report.is_same(), report.missing.is_empty()) {
        (false, _) => Verdict::Different,
        (true, false) => Verdict::Incomplete,
        (true, true) => Verdict::Same,
    };
    out.end(verdict)
}

fn summary(report: &Report) -> String {
    let Report { inputs, deadlines, outputs, verified, snapshots_verified, .. } = report;
    format!(
        "{inputs} inputs, {deadlines} deadlines, {outputs} outputs; {verified} records and \
         {snapshots_verified} snapshots compared; {} differences, {} gaps",
        report.differences.len(),
        report.missing.len()
    )
}
