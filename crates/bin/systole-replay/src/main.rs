//! Reads flight recordings: prints them, merges those of several nodes into one
//! timeline, and drives the same core again.

mod print;
mod run;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, Error, Parser, ValueExt};

const HELP: &str = "\
Usage: systole-replay print FILE|DIR...
       systole-replay timeline DIR...
       systole-replay run --core mini-ring|mini-keeper [--from SEGMENT] [--quiet] FILE|DIR

print     what is recorded, record by record
timeline  the recordings of several daemons and nodes, merged by wall clock
run       gives the recorded inputs to the core again, prints what it does, and
          compares its outputs with those recorded; --from begins at the segment
          with this number, whose snapshot replaces what came before

Exit status: 0 all is as recorded; 1 there is a difference; 2 a recording or a
part of it cannot be read or replayed; 64 usage.
";

/// What the exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Same,
    Incomplete,
    Different,
}

fn main() -> ExitCode {
    match parse(std::env::args_os()).and_then(|command| Ok(command.run()?)) {
        Ok(Verdict::Same) => ExitCode::SUCCESS,
        Ok(Verdict::Different) => ExitCode::from(1),
        Ok(Verdict::Incomplete) => ExitCode::from(2),
        Err(why) => {
            eprintln!("systole-replay: {why}");
            ExitCode::from(64)
        }
    }
}

enum Command {
    Help,
    Print(Vec<PathBuf>),
    Timeline(Vec<PathBuf>),
    Run { core: String, from: Option<u64>, quiet: bool, path: PathBuf },
}

impl Command {
    fn run(self) -> Result<Verdict, String> {
        match self {
            Self::Help => {
                print!("{HELP}");
                Ok(Verdict::Same)
            }
            Self::Print(paths) => Ok(print::print(&paths)),
            Self::Timeline(paths) => Ok(print::timeline(&paths)),
            Self::Run { core, from, quiet, path } => run::run(&core, from, quiet, &path),
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut parser = Parser::from_iter(arguments);
    let (mut words, mut core, mut from, mut quiet) = (Vec::new(), None, None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("core") => core = Some(parser.value()?.string()?),
            Arg::Long("from") => from = Some(parser.value()?.parse()?),
            Arg::Short('q') | Arg::Long("quiet") => quiet = true,
            Arg::Value(word) => words.push(word),
            other => return Err(other.unexpected()),
        }
    }
    let mut words = words.into_iter();
    let verb = words.next().ok_or("say what to do: print, timeline or run")?.string()?;
    let mut paths: Vec<PathBuf> = words.map(PathBuf::from).collect();
    if paths.is_empty() {
        return Err("say which recording".into());
    }
    match verb.as_str() {
        "print" => Ok(Command::Print(paths)),
        "timeline" => Ok(Command::Timeline(paths)),
        "run" if paths.len() > 1 => Err("run takes one recording".into()),
        "run" => {
            let core = core.ok_or("--core is missing")?;
            Ok(Command::Run { core, from, quiet, path: paths.remove(0) })
        }
        other => Err(format!("there is no \"{other}\": print, timeline or run").into()),
    }
}
