//! The files of a configuration, from the disk.

use std::path::Path;

use corosync_conf::{Files, Text, Wanted};
use membership::Reading;

use crate::machine;

/// Reads the main file, the folders beside it, and what the machine knows of
/// the names in them.
pub(crate) fn read(file: &Path) -> Result<Reading, String> {
    let bytes = std::fs::read(file)
        .map_err(|error| format!("Can't read file {}: {error}", file.display()))?;
    let main = Text { name: file.display().to_string(), bytes };
    let beside = |name: &str| folder(&file.with_file_name(name));
    let files = Files { main, uidgid: beside("uidgid.d")?, service: beside("service.d")? };
    let host = machine::look_up(&Wanted::of(&files));
    Ok(Reading { files, host, keys_differ: false })
}

/// The regular files of a folder, by name; a folder that is not there has none.
fn folder(path: &Path) -> Result<Vec<Text>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(named(error)),
    };
    let mut texts = Vec::new();
    for entry in entries {
        let path = entry.map_err(named)?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path);
            let bytes = bytes.map_err(|error| format!("{}: {error}", path.display()))?;
            texts.push(Text { name: path.display().to_string(), bytes });
        }
    }
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(texts)
}
