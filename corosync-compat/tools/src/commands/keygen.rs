//! `corosync-keygen`: writes a key of random bytes.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::getopt::{Found, Options, Spec, Takes};
use crate::numbers::whole;
use crate::output::{Exit, flush, print, say, system_text};

const SPEC: Spec = Spec {
    letters: "k:r:s:lh",
    long: &[
        ("key-file", Takes::Argument, 'k'),
        ("less-secure", Takes::Nothing, 'l'),
        ("random-file", Takes::Argument, 'r'),
        ("size", Takes::Argument, 's'),
        ("help", Takes::Nothing, 'h'),
    ],
};

const HELP: &str = "\
Usage: corosync-keygen [-k FILE] [-r FILE] [-s BYTES] [-l] [-h]

Writes a new secret that the nodes of a cluster share.

  -k, --key-file=FILE     where to write it; /etc/corosync/authkey if not given
  -r, --random-file=FILE  where to take randomness from; /dev/urandom if not given
  -s, --size=BYTES        its length, 128 to 4096; 256 if not given
  -l, --less-secure       accepted and without effect
  -h, --help              this text
";

/// Bytes of a key: the least, the most, and those taken if nobody says.
const LEAST: i64 = 128;
const MOST: i64 = 4096;
const USUAL: usize = 256;

struct Wish {
    key_file: Vec<u8>,
    random_file: Vec<u8>,
    size: usize,
}

/// Runs the command.
pub fn main(arguments: Vec<Vec<u8>>) -> Exit {
    let program = arguments.first().cloned().unwrap_or_default();
    match parse(arguments) {
        Ok(wish) => run(&wish, super::base_name(&program)),
        Err(exit) => exit,
    }
}

fn parse(arguments: Vec<Vec<u8>>) -> Result<Wish, Exit> {
    let mut wish = Wish {
        key_file: b"/etc/corosync/authkey".to_vec(),
        random_file: b"/dev/urandom".to_vec(),
        size: USUAL,
    };
    let mut options = Options::new(&SPEC, arguments);
    while let Some(found) = options.next() {
        match found {
            Found::Option('k', file) => wish.key_file = file,
            Found::Option('r', file) => wish.random_file = file,
            Found::Option('s', size) => wish.size = parse_size(&options, &size)?,
            Found::Option('l', _) => {}
            Found::Option('h', _) => {
                print(HELP);
                return Err(Exit::Success);
            }
            Found::Option(..) | Found::Wrong => {
                print("Error parsing command line options.\n");
                return Err(Exit::Failure);
            }
        }
    }
    Ok(wish)
}

fn parse_size(options: &Options<'_>, text: &[u8]) -> Result<usize, Exit> {
    let size = whole(text, LEAST, MOST).and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| {
        let mut line = super::base_name(options.program()).to_vec();
        line.extend_from_slice(
            format!(": Unsupported key size (supported <{LEAST},{MOST}>)\n\n").as_bytes(),
        );
        say(line);
        Exit::Failure
    })
}

fn run(wish: &Wish, program: &[u8]) -> Exit {
    print("Corosync Cluster Engine Authentication key generator.\n");
    match read_random(wish).and_then(|key| write_key(&wish.key_file, &key)) {
        Ok(()) => Exit::Success,
        Err(Failed { step, what, why }) => {
            say([program, b": ".as_slice(), &what, b": ", system_text(&why).as_bytes(), b"\n"]
                .concat());
            Exit::Step(step)
        }
    }
}

/// What failed: the exit status of the step, its words, and the system's.
struct Failed {
    step: u8,
    what: Vec<u8>,
    why: io::Error,
}

impl Failed {
    fn at(step: u8, what: impl Into<Vec<u8>>) -> impl FnOnce(io::Error) -> Self {
        move |why| Self { step, what: what.into(), why }
    }
}

fn read_random(wish: &Wish) -> Result<Vec<u8>, Failed> {
    let bits = wish.size * 8;
    print(format!("Gathering {bits} bits for key from "));
    print(&wish.random_file);
    print(".\n");
    let mut source = File::open(path(&wish.random_file))
        .map_err(Failed::at(1, "Failed to open random source"))?;
    if wish.random_file == b"/dev/random" {
        print("Press keys on your keyboard to generate entropy.\n");
    }
    let mut key = vec![0; wish.size];
    let mut len = 0;
    while len < key.len() {
        match source.read(&mut key[len..]) {
            // The reference would ask for keys for ever.
            Ok(0) => {
                let why = io::Error::other(format!("only {len} bytes in it"));
                return Err(Failed::at(1, "Could not read the random source")(why));
            }
            Ok(more) => len += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failed::at(1, "Could not read /dev/random")(e)),
        }
        if len < key.len() {
            let bits = (key.len() - len) * 8;
            print(format!(
                "Press keys on your keyboard to generate entropy ({bits} bits still needed).\n"
            ));
            // Whoever sits at the keyboard has to see it now.
            let _ = flush();
        }
    }
    Ok(key)
}

fn write_key(name: &[u8], key: &[u8]) -> Result<(), Failed> {
    let could_not = |what: &str| [b"Could not ", what.as_bytes(), b" ", name].concat();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path(name)).map_err(Failed::at(2, could_not("create")))?;
    file.set_permissions(Permissions::from_mode(0o400))
        .map_err(Failed::at(3, "Failed to set key file permissions to 0400"))?;
    print("Writing corosync key to ");
    print(name);
    print(".\n");
    file.write_all(key).map_err(Failed::at(4, could_not("write")))?;
    file.sync_all().or_else(not_a_disk).map_err(Failed::at(5, could_not("close")))
}

/// Devices and pipes cannot be synced, and need not be.
fn not_a_disk(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    }
}

fn path(name: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name))
}
