//! Recordings of the run, played again.

use std::path::{Path, PathBuf};

use host::replay::{Report, read, replay, segments};
use miniature::keeper::{self, Keeper};
use miniature::ring::{self, Ring};

fn play_ring(files: &[PathBuf]) -> Report {
    replay(
        files,
        |now, setup| Ok(Ring::new(now, ring::Config::decode(setup).map_err(|e| e.to_string())?)),
        |_| {},
    )
}

fn play_keeper(files: &[PathBuf]) -> Report {
    replay(
        files,
        |now, setup| {
            Ok(Keeper::new(now, keeper::Config::decode(setup).map_err(|e| e.to_string())?))
        },
        |_| {},
    )
}

/// The whole recording, from process start.
pub(crate) fn assert_replays(kind: &str, folder: &Path) {
    let files = segments(folder).expect("a recording");
    let report = if kind == "ring" { play_ring(&files) } else { play_keeper(&files) };
    assert!(report.is_same(), "{}: {report:?}", folder.display());
    assert_eq!(report.missing, Vec::<String>::new(), "{}", folder.display());
    assert!(report.inputs > 3 && report.verified > 3, "{}: {report:?}", folder.display());
}

/// From each segment that begins with a snapshot, without those before it.
pub(crate) fn assert_replays_from_snapshots(folder: &Path) {
    let files = segments(folder).expect("a recording");
    let mut starts = 0;
    for first in 1..files.len() {
        if !read(&files[first]).expect("a segment").header.has_snapshot {
            continue;
        }
        starts += 1;
        let report = play_ring(&files[first..]);
        assert!(report.is_same() && report.missing.is_empty(), "from {first}: {report:?}");
        assert!(report.inputs > 0, "from {first}: {report:?}");
    }
    assert!(starts >= 2, "{} segments, {starts} of them with snapshots", files.len());
    let whole = play_ring(&files);
    assert!(whole.snapshots_verified >= starts, "{whole:?}");
}
