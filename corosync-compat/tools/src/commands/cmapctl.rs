//! `corosync-cmapctl`: keys of the configuration map.

mod load;
mod render;
mod set;
mod track;

use std::time::Duration;

use corosync_client::{Cmap, CsError, Kind, Map, Track, Value};

use crate::getopt::{Found, Options, Spec};
use crate::output::{Exit, flush, print, say};
use render::Style;

const SPEC: Spec = Spec { letters: "m:hqgsdDtTbp:C:", long: &[] };

const HELP: &str = "\
Usage: corosync-cmapctl [-b] [-q] [-m MAP] [PREFIX...]
       corosync-cmapctl [-b] [-q] [-m MAP] -g KEY...
       corosync-cmapctl [-b] [-m MAP] -t KEY... | -T PREFIX...
       corosync-cmapctl -s KEY TYPE VALUE | -d KEY... | -D PREFIX... | -p FILE | -C WHAT

Shows and changes the keys of the running daemon. Without -g, -t, -T or a change
it lists the keys that begin with one of the prefixes, or all.

  -g  the values of keys                 -t  tells of changes of keys, until \"q\"
  -s  sets a key                         -T  the same for all keys with a prefix
  -d  deletes keys                       -D  deletes all keys with a prefix
  -p  does what stands in a file, one key a line: KEY TYPE VALUE sets,
      ^KEY deletes, ^^PREFIX deletes all with the prefix, # begins a comment
  -C  resets statistics: knet, ipc, totem, schedmiss or all
  -m  the map: icmap (also called default), or stats
  -b  with the bytes of binary values    -q  values only
  -h  this text

TYPE is i8, u8, i16, u16, i32, u32, i64, u64, flt, dbl, str or bin. The value of
bin is a file's name, or - for standard input.
";

/// A daemon that is not ready is asked again so often, a second apart.
const TRIES_AGAIN: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    List,
    Get,
    Set,
    Delete,
    DeletePrefix,
    Track(Track),
    Load(Vec<u8>),
    ClearStatistics(Vec<u8>),
}

#[derive(Debug, PartialEq, Eq)]
struct Wish {
    action: Action,
    map: Map,
    style: Style,
    operands: Vec<Vec<u8>>,
}

/// Runs the command.
pub fn main(arguments: Vec<Vec<u8>>) -> Exit {
    let done = parse(arguments).and_then(|wish| {
        let mut cmap = open(wish.map)?;
        run(&wish, &mut cmap)
    });
    done.err().unwrap_or(Exit::Success)
}

fn fail(text: impl AsRef<[u8]>) -> Exit {
    say(text);
    Exit::Failure
}

/// What a failed request for a key is said to be.
fn about(what: &str, key: &[u8], error: CsError) -> Vec<u8> {
    [what.as_bytes(), key, format!(". Error {error}\n").as_bytes()].concat()
}

fn parse(arguments: Vec<Vec<u8>>) -> Result<Wish, Exit> {
    let mut action = Action::List;
    let mut style = Style::default();
    let mut map = Map::Icmap;
    let mut is_map_set = false;
    let mut options = Options::new(&SPEC, arguments);
    while let Some(found) = options.next() {
        let Found::Option(letter, value) = found else { return Err(Exit::Failure) };
        match letter {
            'b' => style.binary = true,
            'q' => style.quiet = true,
            'g' => action = Action::Get,
            's' => action = Action::Set,
            'd' => action = Action::Delete,
            'D' => action = Action::DeletePrefix,
            't' => action = Action::Track(Track::Key),
            'T' => action = Action::Track(Track::Prefix),
            'p' => action = Action::Load(value),
            'C' => {
                action = Action::ClearStatistics(parse_statistics(value)?);
                map = Map::Stats;
            }
            'm' => match parse_map(&value) {
                Some(named) => (map, is_map_set) = (named, true),
                // One that is wrong is no matter after one that is right.
                None if is_map_set => {}
                None => {
                    return Err(fail("invalid map name, must be 'default', 'icmap' or 'stats'\n"));
                }
            },
            _ => {
                print(HELP);
                return Err(Exit::Success);
            }
        }
    }
    let operands = options.operands();
    let needs_none = matches!(action, Action::List | Action::Load(_) | Action::ClearStatistics(_));
    if operands.is_empty() && !needs_none {
        return Err(fail("Expected key after options\n"));
    }
    Ok(Wish { action, map, style, operands })
}

fn parse_map(name: &[u8]) -> Option<Map> {
    match name {
        b"icmap" | b"default" => Some(Map::Icmap),
        b"stats" => Some(Map::Stats),
        _ => None,
    }
}

fn parse_statistics(name: Vec<u8>) -> Result<Vec<u8>, Exit> {
    match name.as_slice() {
        b"knet" | b"totem" | b"ipc" | b"schedmiss" | b"all" => Ok(name),
        _ => Err(fail("argument to -C should be 'knet', 'totem', 'ipc', 'schedmiss' or 'all'\n")),
    }
}

fn open(map: Map) -> Result<Cmap, Exit> {
    patiently(|| Cmap::open_map(map))
        .map_err(|e| fail(format!("Failed to initialize the cmap API. Error {e}\n")))
}

/// Asks again while the daemon says so, for a while.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, CsError>) -> Result<T, CsError> {
    for _ in 0..TRIES_AGAIN {
        match ask() {
            Err(CsError::TRY_AGAIN) => {}
            answer => return answer,
        }
        // What was printed so far shall be seen meanwhile.
        let _ = flush();
        std::thread::sleep(Duration::from_secs(1));
    }
    ask()
}

fn run(wish: &Wish, cmap: &mut Cmap) -> Result<(), Exit> {
    let operands = wish.operands.as_slice();
    match &wish.action {
        Action::List => list(wish, cmap),
        Action::Get => operands.iter().try_for_each(|key| get(wish, cmap, key)),
        Action::Set => match operands {
            [key, kind, value, ..] => set::set(cmap, key, kind, value),
            _ => Err(fail("At least 3 parameters are expected for set\n")),
        },
        Action::Delete => operands.iter().try_for_each(|key| {
            cmap.delete(key).map_err(|e| fail(about("Can't delete key ", key, e)))
        }),
        Action::DeletePrefix => operands.iter().try_for_each(|prefix| delete_prefix(cmap, prefix)),
        Action::Track(track) => track::track(wish.style, cmap, *track, operands),
        Action::Load(file) => load::load(cmap, file),
        Action::ClearStatistics(what) => {
            // The reference does not look at the answer either.
            let _ = cmap.set(&[b"stats.clear.".as_slice(), what].concat(), &Value::U32(1));
            Ok(())
        }
    }
}

/// Fails if as many prefixes as there are were in vain.
fn list(wish: &Wish, cmap: &mut Cmap) -> Result<(), Exit> {
    let everything = [Vec::new()];
    let prefixes = if wish.operands.is_empty() { &everything[..] } else { &wish.operands };
    let mut in_vain = 0;
    for prefix in prefixes {
        let mut found = false;
        walk(cmap, prefix, |cmap, key, len, kind| {
            found = true;
            show(wish.style, cmap, key, len, kind);
        })?;
        in_vain += usize::from(!found);
    }
    if in_vain == prefixes.len() { Err(Exit::Failure) } else { Ok(()) }
}

/// Calls `visit` for each key that begins with `prefix`.
fn walk(
    cmap: &mut Cmap,
    prefix: &[u8],
    mut visit: impl FnMut(&mut Cmap, &[u8], u64, Option<Kind>),
) -> Result<(), Exit> {
    let handle = cmap
        .begin_iteration(prefix)
        .map_err(|e| fail(format!("Failed to initialize iteration. Error {e}\n")))?;
    while let Ok(entry) = cmap.iterate(handle) {
        visit(cmap, &entry.key, entry.value_len, entry.kind);
    }
    // The daemon forgets the walk with the connection, if not now.
    let _ = cmap.end_iteration(handle);
    Ok(())
}

fn get(wish: &Wish, cmap: &mut Cmap, key: &[u8]) -> Result<(), Exit> {
    let (kind, len) = cmap.describe(key).map_err(|e| fail(about("Can't get key ", key, e)))?;
    show(wish.style, cmap, key, len, kind);
    Ok(())
}

/// Asks for a value where it is needed, and prints it.
fn show(style: Style, cmap: &mut Cmap, key: &[u8], len: u64, kind: Option<Kind>) {
    if kind == Some(Kind::Binary) && !style.binary {
        print(render::line(style, key, &Value::Binary(Vec::new())));
        return;
    }
    let len = if kind == Some(Kind::Binary) { len } else { len.max(16) };
    match patiently(|| cmap.get_sized(key, len)) {
        Ok(value) => print(render::line(style, key, &value)),
        Err(e) => say(about("Can't get value of ", key, e)),
    }
}

/// A key that cannot be deleted is said, and the others go all the same.
fn delete_prefix(cmap: &mut Cmap, prefix: &[u8]) -> Result<(), Exit> {
    walk(cmap, prefix, |cmap, key, _, _| {
        if let Err(e) = cmap.delete(key) {
            say(about("Can't delete key ", key, e));
        }
    })
}
