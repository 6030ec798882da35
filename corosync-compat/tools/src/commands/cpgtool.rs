//! `corosync-cpgtool`: process groups and their members.

use corosync_client::{Cfg, Cpg, CsError, Iteration, Member};

use crate::getopt::{Found, Options, Spec};
use crate::output::{Exit, escape, print, say};

const SPEC: Spec = Spec { letters: "hd:ne", long: &[] };

const HELP: &str = "\
Usage: corosync-cpgtool [-d CHARACTER] [-e] [-n] [-h]

Lists the process groups of the cluster and who is in them.

  -d CHARACTER  stands between the fields; one line per member
  -e            group names as they are, without escapes
  -n            names of groups only
  -h            this text
";

#[derive(Default)]
struct Wish {
    delimiter: Option<u8>,
    raw: bool,
    names_only: bool,
}

/// Runs the command.
pub fn main(arguments: Vec<Vec<u8>>) -> Exit {
    match parse(arguments) {
        Ok(wish) => run(&wish),
        Err(exit) => exit,
    }
}

fn parse(arguments: Vec<Vec<u8>>) -> Result<Wish, Exit> {
    let mut wish = Wish::default();
    let mut options = Options::new(&SPEC, arguments);
    while let Some(found) = options.next() {
        match found {
            Found::Option('d', text) => wish.delimiter = text.first().copied().or(wish.delimiter),
            Found::Option('n', _) => wish.names_only = true,
            Found::Option('e', _) => wish.raw = true,
            Found::Option('h', _) => {
                print(HELP);
                return Err(Exit::Success);
            }
            Found::Option(..) | Found::Wrong => return Err(Exit::Failure),
        }
    }
    Ok(wish)
}

fn run(wish: &Wish) -> Exit {
    let mut cpg = match Cpg::open() {
        Ok(cpg) => cpg,
        Err(e) => {
            say(format!("Could not initialize corosync cpg API error {}\n", e.code()));
            return Exit::Failure;
        }
    };
    let mut cfg = match Cfg::open() {
        Ok(cfg) => cfg,
        Err(e) => {
            say(format!("Could not initialize corosync configuration API error {}\n", e.code()));
            return Exit::Failure;
        }
    };
    let what = if wish.names_only { Iteration::Names } else { Iteration::Members };
    let handle = match cpg.begin_iteration(what) {
        Ok(handle) => handle,
        Err(e) => {
            say(format!("Cannot initialize cpg iterator error {}\n", e.code()));
            return Exit::Failure;
        }
    };
    let end = if wish.names_only {
        print_names(wish, &mut cpg, handle);
        CsError::NO_SECTIONS
    } else {
        print_members(wish, &mut cpg, handle, &mut cfg)
    };
    if end != CsError::NO_SECTIONS {
        say(format!("cpg iteration error {}\n", end.code()));
        return Exit::Failure;
    }
    // The daemon forgets the walk with the connection, if not now.
    let _ = cpg.end_iteration(handle);
    Exit::Success
}

fn print_names(wish: &Wish, cpg: &mut Cpg, handle: u64) {
    while let Ok(member) = cpg.iterate(handle) {
        print(name_of(wish, &member.group));
        print([wish.delimiter.unwrap_or(b'\n')]);
    }
    if wish.delimiter.is_some() {
        print("\n");
    }
}

/// Gives why the walk ended.
fn print_members(wish: &Wish, cpg: &mut Cpg, handle: u64, cfg: &mut Cfg) -> CsError {
    match wish.delimiter {
        Some(d) => print([b"GRP_NAME", &[d][..], b"PID", &[d], b"NODEID\n"].concat()),
        None => print(format!("Group Name\t{:>10}\t{:>10}\n", "PID", "Node ID")),
    }
    let mut group = Vec::new();
    loop {
        let member = match cpg.iterate(handle) {
            Ok(member) => member,
            Err(end) => return end,
        };
        match wish.delimiter {
            Some(d) => print(delimited(wish, &member, d)),
            None => {
                if member.group != group {
                    print(name_of(wish, &member.group));
                    print("\n");
                    group.clone_from(&member.group);
                }
                let Member { pid, node, .. } = member;
                print(format!(
                    "\t\t{pid:>10}\t{node:>10} ({})\n",
                    super::addresses(cfg, node).unwrap_or_default()
                ));
            }
        }
    }
}

fn delimited(wish: &Wish, member: &Member, delimiter: u8) -> Vec<u8> {
    let mut line = name_of(wish, &member.group);
    for number in [member.pid, member.node] {
        line.push(delimiter);
        line.extend_from_slice(number.to_string().as_bytes());
    }
    line.push(b'\n');
    line
}

fn name_of(wish: &Wish, group: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    match wish.raw {
        true => name.extend_from_slice(group),
        false => escape(group, &mut name),
    }
    name
}
