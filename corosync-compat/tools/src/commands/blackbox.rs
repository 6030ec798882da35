//! `corosync-blackbox`: what the daemon recorded.
//!
//! The daemon is told to hand over what it holds, as the reference's script
//! does; then the recordings are printed. Those of Systole's daemon lie in a
//! folder of segments, the format is that of `systole-replay`.

use std::path::Path;
use std::time::SystemTime;

use corosync_client::{Cmap, Value};
use host::replay::{describe, read, segments, show_time};

use crate::getopt::{Found, Options, Spec};
use crate::output::{Exit, flush, print, say};

const SPEC: Spec = Spec { letters: "h", long: &[] };

const HELP: &str = "\
Usage: corosync-blackbox [FOLDER|FILE]

Prints what the daemon of this node recorded: its inputs with their times, and
what they caused. Without a name, that is /var/lib/corosync/recording.
";

/// Where the daemon records.
const FOLDER: &str = "/var/lib/corosync/recording";

/// The keys that make the daemon hand over, in the order of the reference.
const DUMP: [&str; 2] = ["runtime.blackbox.dump_state", "runtime.blackbox.dump_flight_data"];

/// Runs the command.
pub fn main(arguments: Vec<Vec<u8>>) -> Exit {
    let mut options = Options::new(&SPEC, arguments);
    match options.next() {
        Some(Found::Option(..)) => {
            print(HELP);
            return Exit::Success;
        }
        Some(Found::Wrong) => return Exit::Failure,
        None => {}
    }
    match options.operands().as_slice() {
        [] => {
            ask_for_dump();
            print_recording(Path::new(FOLDER))
        }
        [name] => {
            use std::os::unix::ffi::OsStrExt;
            print_recording(Path::new(std::ffi::OsStr::from_bytes(name)))
        }
        _ => {
            say("corosync-blackbox: one recording at a time\n");
            Exit::Failure
        }
    }
}

/// A daemon that does not run or refuses has recorded all the same.
fn ask_for_dump() {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = Value::Text(since.map_or(0, |d| d.as_secs()).to_string().into());
    let asked = Cmap::open()
        .and_then(|mut cmap| DUMP.iter().try_for_each(|key| cmap.set(key.as_bytes(), &seconds)));
    if let Err(e) = asked {
        say(format!("corosync-blackbox: the daemon was not asked for its latest records: {e}\n"));
    }
}

fn print_recording(place: &Path) -> Exit {
    let files = match segments(place) {
        Ok(files) => files,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            say(format!("corosync-blackbox: {}: {e}\n", place.display()));
            return Exit::Failure;
        }
    };
    if files.is_empty() {
        say(format!("corosync-blackbox: there is no recording in {}\n", place.display()));
        return Exit::Failure;
    }
    let mut is_whole = true;
    for file in files {
        is_whole &= print_segment(&file);
        if flush().is_err() {
            return Exit::Failure;
        }
    }
    Exit::from_success(is_whole)
}

/// Prints what can be read; `false` if that is not all.
fn print_segment(file: &Path) -> bool {
    let segment = match read(file) {
        Ok(segment) => segment,
        Err(e) => {
            say(format!("corosync-blackbox: {}: {e}\n", file.display()));
            return false;
        }
    };
    print(format!("== {}\n", file.display()));
    for entry in &segment.entries {
        print(format!("{} {}\n", show_time(entry), describe(entry)));
    }
    if let Some(damage) = &segment.damage {
        say(format!("corosync-blackbox: {}: {damage}\n", file.display()));
    }
    segment.damage.is_none()
}
