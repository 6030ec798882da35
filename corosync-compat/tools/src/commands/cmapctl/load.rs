//! Doing what a file says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corosync_client::Cmap;

use super::{about, delete_prefix, fail, set};
use crate::output::{Exit, say, system_text};

/// A longer line is taken for several, as the reference does.
const LINE_MAX: u64 = 1023;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Order<'a> {
    Nothing,
    Delete(&'a [u8]),
    DeletePrefix(&'a [u8]),
    /// Type and value are missing if the line is too short, the key if it is blank.
    Set(Option<&'a [u8]>, Option<(&'a [u8], &'a [u8])>),
}

/// Reads `name` line by line and does at once what each says. A file that
/// cannot be read is said, and no failure.
pub(super) fn load(cmap: &mut Cmap, name: &[u8]) -> Result<(), Exit> {
    let file = match File::open(Path::new(std::ffi::OsStr::from_bytes(name))) {
        Ok(file) => file,
        Err(e) => {
            say(format!("Couldn't open file.: {}\n", system_text(&e)));
            return Ok(());
        }
    };
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => obey(cmap, &parse(&line))?,
        }
    }
}

fn obey(cmap: &mut Cmap, order: &Order<'_>) -> Result<(), Exit> {
    match order {
        Order::Nothing => Ok(()),
        Order::Delete(key) => {
            if let Err(e) = cmap.delete(key) {
                say(about("Can't delete key ", key, e));
            }
            Ok(())
        }
        Order::DeletePrefix(prefix) => delete_prefix(cmap, prefix),
        Order::Set(Some(key), Some((kind, value))) => set::set(cmap, key, kind, value),
        Order::Set(key, _) => {
            let key = key.unwrap_or(b"(null)");
            Err(fail([b"Both type and value for key ", key, b" are required\n"].concat()))
        }
    }
}

fn parse(line: &[u8]) -> Order<'_> {
    let start = line.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    let line = &line[start..];
    if matches!(line.first(), Some(b'#' | b'\n')) {
        return Order::Nothing;
    }
    // Only blanks and ends of lines part words: a tab belongs to one.
    let mut words = line.split(|b| matches!(b, b' ' | b'\n')).filter(|word| !word.is_empty());
    let key = words.next();
    match key {
        Some([b'^', b'^', prefix @ ..]) => Order::DeletePrefix(prefix),
        Some([b'^', key @ ..]) => Order::Delete(key),
        _ => Order::Set(key, words.next().zip(words.next())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_to_do() {
        assert_eq!(parse(b"  # a comment\n"), Order::Nothing);
        assert_eq!(parse(b" \t\n"), Order::Nothing);
        assert_eq!(parse(b"^a.b rest\n"), Order::Delete(b"a.b"));
        assert_eq!(parse(b"^^a.\n"), Order::DeletePrefix(b"a."));
        let set = Order::Set(Some(b"a.b"), Some((b"u8", b"1")));
        assert_eq!(parse(b" a.b  u8 1 more\n"), set);
        assert_eq!(parse(b"a.b u8\n"), Order::Set(Some(b"a.b"), None));
        assert_eq!(parse(b"a.b\tu8 1"), Order::Set(Some(b"a.b\tu8"), None));
        assert_eq!(parse(b"  "), Order::Set(None, None));
    }
}
