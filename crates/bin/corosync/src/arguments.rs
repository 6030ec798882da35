//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Error, Parser};

/// What `-h` prints, and what follows a mistake.
pub(crate) const USAGE: &str = "\
usage: corosync [-f] [-t] [-v] [-c FILE]
        -c FILE  read this configuration instead of /etc/corosync/corosync.conf
        -f       stay in the foreground
        -t       check the configuration and exit
        -v       print the version and exit
";

const DEFAULT_FILE: &str = "/etc/corosync/corosync.conf";
const FILE_VARIABLE: &str = "COROSYNC_MAIN_CONFIG_FILE";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    Run { file: PathBuf, foreground: bool, test: bool },
}

/// What `-v` prints; tools look for the name and the quoted version.
pub(crate) fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("Corosync Cluster Engine, version '3.1.7'\nProvided by Systole {version}\n")
}

/// Reads the command line, the program's name first.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut parser = Parser::from_iter(arguments);
    let (mut file, mut foreground, mut test) = (None, false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('c') => file = Some(PathBuf::from(parser.value()?)),
            Arg::Short('f') => foreground = true,
            Arg::Short('t') => test = true,
            Arg::Short('v') => return Ok(Command::Version),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    let named = || std::env::var_os(FILE_VARIABLE).filter(|name| !name.is_empty());
    let file = file.or_else(|| named().map(PathBuf::from));
    Ok(Command::Run { file: file.unwrap_or_else(|| DEFAULT_FILE.into()), foreground, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let words = std::iter::once("corosync").chain(line.split_whitespace()).map(OsString::from);
        parse(words).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_those_of_the_reference() {
        let run =
            |file: &str, foreground, test| Command::Run { file: file.into(), foreground, test };
        assert_eq!(parsed("-f -c /x"), Ok(run("/x", true, false)));
        assert_eq!(parsed("-tc/x"), Ok(run("/x", false, true)));
        assert_eq!(parsed("-v -f"), Ok(Command::Version));
        assert_eq!(parsed("-h"), Ok(Command::Help));
        assert!(parsed("-x").unwrap_err().contains("-x"));
        assert!(parsed("file").unwrap_err().contains("file"));
    }

    #[test]
    fn tools_find_the_version() {
        assert!(version().starts_with("Corosync Cluster Engine, version '3."));
    }
}
