//! `cargo xtask dist DIR`: the files as the packages will hold them.
//!
//! Lab, swap tests, demo and packages take programs from such a tree and from
//! nowhere else, so what is tested is what is shipped. The tree is driven by
//! [`table::TABLE`]; `dist --check DIR` compares a tree with it: nothing missing,
//! nothing more, modes and owners right, and each program with a build id.

mod elf;
mod table;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::run::{Failure, run as run_program};
use crate::setup::is_root;
use crate::workspace::Workspace;
use table::{Entry, Source, TABLE};

/// `cargo xtask dist DIR` and `cargo xtask dist --check DIR`
///
/// # Errors
/// When something does not build, cannot be written, or differs from the table.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    match args {
        [flag, folder] if flag == "--check" => check(Path::new(folder)),
        [folder] if !folder.starts_with('-') => {
            lay_out(workspace, Path::new(folder))?;
            print!("{}", contents(Path::new(folder))?);
            Ok(())
        }
        _ => Err(Failure::new("usage: cargo xtask dist DIR | cargo xtask dist --check DIR")),
    }
}

/// Lays out the tree that lab, demo and tests share, below the target folder.
///
/// # Errors
/// As [`lay_out`].
pub(crate) fn lay_out_for_tests(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let tree = workspace.target().join("dist");
    lay_out(workspace, &tree)?;
    Ok(tree)
}

/// Builds all programs and lays out a tree. A tree that is there already is
/// replaced, a folder with anything else in it is refused.
///
/// # Errors
/// When something does not build or cannot be written.
pub(crate) fn lay_out(workspace: &Workspace, tree: &Path) -> Result<(), Failure> {
    build(workspace)?;
    let programs = workspace.target().join("release");
    fill(TABLE, tree, &programs, &workspace.root)?;
    check(tree)
}

/// Compares a tree with the table.
///
/// # Errors
/// When they differ; the words name each difference.
pub(crate) fn check(tree: &Path) -> Result<(), Failure> {
    let differences = differences(TABLE, tree);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure(format!(
        "{} is not what dist lays out:\n  {}",
        tree.display(),
        differences.join("\n  ")
    )))
}

/// Compares two trees: the same paths, modes, owners, sizes and build ids.
///
/// # Errors
/// When they differ; the words show both.
pub(crate) fn compare(one: &Path, other: &Path) -> Result<(), Failure> {
    let (first, second) = (contents(one)?, contents(other)?);
    if first == second {
        return Ok(());
    }
    Err(Failure(format!("two layouts differ:\n{first}\n{second}")))
}

/// Builds the packages of all programs in one go, and no other package: what a
/// test crate switches on must not reach what ships.
fn build(workspace: &Workspace) -> Result<(), Failure> {
    let mut command = workspace.cargo();
    command.args(["build", "--locked", "--release"]);
    for package in packages(TABLE) {
        command.args(["--package", package]);
    }
    run_program(&mut command)
}

fn packages(table: &[Entry]) -> BTreeSet<&'static str> {
    let package = |entry: &Entry| match entry.source {
        Source::Program { package, .. } => Some(package),
        Source::Folder | Source::File(_) => None,
    };
    table.iter().filter_map(package).collect()
}

/// Makes the tree beside its place and puts it there whole.
fn fill(table: &[Entry], tree: &Path, programs: &Path, root: &Path) -> Result<(), Failure> {
    refuse_foreign(table, tree)?;
    let name = tree.file_name().ok_or_else(|| Failure::new("dist needs a folder of its own"))?;
    let fresh = tree.with_file_name(format!("{}.new", name.to_string_lossy()));
    remove(&fresh)?;
    fs::create_dir_all(&fresh)?;
    for entry in table {
        place(entry, &within(&fresh, entry.path), programs, root)?;
    }
    remove(tree)?;
    fs::rename(&fresh, tree).map_err(Failure::from)
}

fn place(entry: &Entry, path: &Path, programs: &Path, root: &Path) -> Result<(), Failure> {
    match entry.source {
        Source::Folder => fs::create_dir(path)?,
        Source::Program { binary, .. } => copy(&programs.join(binary), path)?,
        Source::File(file) => copy(&root.join(file), path)?,
    }
    fs::set_permissions(path, Permissions::from_mode(entry.mode))?;
    if is_root() {
        chown(path, Some(entry.owner.0), Some(entry.owner.1))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let copied = fs::copy(from, to);
    copied.map(drop).map_err(|error| Failure(format!("{}: {error}", from.display())))
}

/// Refuses to replace a folder that holds what we never laid out.
fn refuse_foreign(table: &[Entry], tree: &Path) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(tree) else { return Ok(()) };
    let tops: BTreeSet<&str> =
        table.iter().filter_map(|entry| entry.path.split('/').nth(1)).collect();
    for entry in entries {
        let name = entry?.file_name();
        if !tops.contains(&*name.to_string_lossy()) {
            return Err(Failure(format!(
                "{} holds {}, which dist never made; name an empty or a new folder",
                tree.display(),
                name.to_string_lossy()
            )));
        }
    }
    match tree.canonicalize()?.components().count() {
        1 => Err(Failure::new("dist never writes over /; name a folder")),
        _ => Ok(()),
    }
}

fn remove(tree: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure(format!("{}: {error}", tree.display())))
        }
        _ => Ok(()),
    }
}

/// Where a path of the table lies in a tree.
fn within(tree: &Path, path: &str) -> PathBuf {
    tree.join(path.trim_start_matches('/'))
}

/// How a tree differs from the table, a line each.
fn differences(table: &[Entry], tree: &Path) -> Vec<String> {
    let mut found: Vec<String> = table.iter().filter_map(|entry| difference(entry, tree)).collect();
    let known: BTreeSet<&str> = table.iter().map(|entry| entry.path).collect();
    let strays = paths(tree).into_iter().filter(|path| !known.contains(path.as_str()));
    found.extend(strays.map(|path| format!("{path}: is not in the table")));
    found
}

fn difference(entry: &Entry, tree: &Path) -> Option<String> {
    let path = within(tree, entry.path);
    let say = |what: String| Some(format!("{}: {what}", entry.path));
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) => return say(error.to_string()),
    };
    if metadata.is_dir() != (entry.source == Source::Folder) || metadata.is_symlink() {
        return say("is neither a file of its own nor the folder it should be".to_owned());
    }
    if metadata.is_file() && metadata.nlink() != 1 {
        return say("shares its file with another path".to_owned());
    }
    if metadata.mode() & 0o7777 != entry.mode {
        return say(format!("mode {:o}, not {:o}", metadata.mode() & 0o7777, entry.mode));
    }
    let owner = (metadata.uid(), metadata.gid());
    if is_root() && owner != entry.owner {
        return say(format!("owner {owner:?}, not {:?}", entry.owner));
    }
    match entry.source {
        Source::Program { .. } => unfit(&path).err().and_then(|why| say(why.0)),
        Source::Folder | Source::File(_) => None,
    }
}

/// Refuses a program that the lab could not tell from another build, or that
/// carries a planted mistake.
fn unfit(path: &Path) -> Result<(), Failure> {
    let bytes = fs::read(path)?;
    elf::build_id(&bytes)?;
    match planted_mistake(&bytes) {
        Some(name) => Err(Failure(format!("was built with the mutant {name}"))),
        None => Ok(()),
    }
}

/// The name of a mutant (`ID/weaken`) in a program. Where mutants are not
/// compiled in, the optimiser leaves none of their names.
fn planted_mistake(bytes: &[u8]) -> Option<String> {
    let is_id = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'-';
    let windows = bytes.windows(7).enumerate();
    let kinds = windows.filter(|(_, window)| *window == b"/weaken" || *window == b"/remove");
    let mut names = kinds.map(|(at, _)| {
        let len = bytes[..at].iter().rev().take_while(is_id).count();
        String::from_utf8_lossy(&bytes[at - len..at + 7]).into_owned()
    });
    names.find(|name| !name.starts_with('/'))
}

fn build_id(path: &Path) -> Result<String, Failure> {
    elf::build_id(&fs::read(path)?)
}

/// All paths below a tree, as the table writes them, sorted.
fn paths(tree: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if let Ok(inside) = path.strip_prefix(tree) {
                found.push(format!("/{}", inside.display()));
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A line for each path of a tree: mode, owner, size, build id.
fn contents(tree: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    for path in paths(tree) {
        let full = within(tree, &path);
        let metadata = full.symlink_metadata()?;
        let id =
            if metadata.is_file() { build_id(&full).unwrap_or_default() } else { String::new() };
        let size = if metadata.is_file() { metadata.len().to_string() } else { "-".to_owned() };
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let line = format!("{mode:04o} {uid}:{gid} {size:>9} {path:<32} {id}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
