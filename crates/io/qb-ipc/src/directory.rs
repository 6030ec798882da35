//! The folder in `/dev/shm` that holds one connection's files.
//!
//! A server makes it under a name that nobody can foresee, fills it while it is
//! its own, and gives it away at the end. After that the client may do with it
//! what it likes, so it is found again by device and inode, and nothing in it is
//! ever followed.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, mkdtemp, unlinkat};

use crate::access::{Grant, Peer};
use crate::syscall;

/// Where folders are made.
pub(crate) const SHM: &str = "/dev/shm";
/// What file names in a folder begin with.
pub(crate) const PREFIX: &str = "qb";
/// More entries than this are not ours, and are left to the client.
const ENTRIES_MAX: usize = 64;

/// A folder made for a client; removed when dropped.
pub(crate) struct Directory {
    path: PathBuf,
    device: u64,
    inode: u64,
    fd: Option<File>,
}

impl Directory {
    /// Makes a folder in `root`, still the server's own.
    pub(crate) fn create(root: &Path, client_pid: u32, number: i32) -> io::Result<Self> {
        let server = std::process::id();
        let path = mkdtemp(&root.join(format!("qb-{server}-{client_pid}-{number}-XXXXXX")))?;
        let fd = File::from(open(&path, directory_flags(), Mode::empty())?);
        let meta = fd.metadata()?;
        Ok(Self { path, device: meta.dev(), inode: meta.ino(), fd: Some(fd) })
    }

    /// What the names of the connection's files begin with.
    pub(crate) fn base(&self) -> String {
        format!("{}/{PREFIX}", self.path.display())
    }

    /// Makes the file `name` of `len` bytes, all of them allocated, and gives it
    /// to whom `grant` says.
    pub(crate) fn file(&self, name: &str, len: usize, grant: &Grant) -> io::Result<File> {
        let folder = self.fd.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let fd = openat(folder, name, flags | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o600))?;
        let len = i64::try_from(len).map_err(io::Error::other)?;
        nix::unistd::ftruncate(&fd, len)?;
        retry(|| fallocate(&fd, FallocateFlags::empty(), 0, len))?;
        own(&fd, grant.uid, grant.gid)?;
        fchmod(&fd, Mode::from_bits_truncate(grant.mode))?;
        Ok(File::from(fd))
    }

    /// Gives the folder to the client, once all is in it. `by_grant` says whether
    /// the grant's owners go over the client's own, as for SHM in libqb.
    pub(crate) fn hand_over(
        &mut self,
        peer: &Peer,
        grant: &Grant,
        by_grant: bool,
    ) -> io::Result<()> {
        let folder = self.fd.take().ok_or(io::ErrorKind::NotFound)?;
        fchmod(&folder, Mode::from_bits_truncate(0o770))?;
        own(&folder, Some(peer.credentials.uid), Some(peer.credentials.gid))?;
        if by_grant {
            own(&folder, grant.uid, grant.gid)?;
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let Ok(fd) = open(&self.path, directory_flags(), Mode::empty()) else { return };
        let folder = File::from(fd);
        let ours = folder.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (self.device, self.inode));
        if ours {
            empty(&folder, &self.path);
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Removes what servers that are dead left behind in `root`, usually
/// `/dev/shm`: folders named `qb-<dead pid>-..` with the files in them. Returns
/// how many folders went. Symbolic links and foreign names are left alone.
pub fn reap(root: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(root)? {
        let Ok(entry) = entry else { continue };
        let dead = server_pid(&entry.file_name()).is_some_and(|pid| !syscall::process_exists(pid));
        if !dead {
            continue;
        }
        let path = entry.path();
        // A name that is no folder, or a link, fails to open.
        let Ok(fd) = open(&path, directory_flags(), Mode::empty()) else { continue };
        empty(&File::from(fd), &path);
        removed += usize::from(fs::remove_dir(&path).is_ok());
    }
    Ok(removed)
}

/// The process that made a folder of this name, if it is one of libqb's.
fn server_pid(name: &std::ffi::OsStr) -> Option<u32> {
    let mut parts = name.to_str()?.strip_prefix("qb-")?.split('-');
    let server = parts.next()?.parse().ok()?;
    let _client: u32 = parts.next()?.parse().ok()?;
    let _number: u32 = parts.next()?.parse().ok()?;
    let unique = parts.next()?.len() == 6;
    (unique && parts.next().is_none()).then_some(server)
}

/// Removes the files in a folder, not what they may point to, and no folders.
fn empty(folder: &File, path: &Path) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.take(ENTRIES_MAX).flatten() {
        let _ = unlinkat(folder, entry.file_name().as_os_str(), UnlinkatFlags::NoRemoveDir);
    }
}

/// Changes owner and group; without the right to, they stay, as with libqb.
fn own(fd: &impl AsFd, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    match fchown(fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw)) {
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn retry(mut call: impl FnMut() -> nix::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Opens, as a client, a file whose name the server gave: it must be a regular
/// file, not linked twice, directly in a folder of `root` or, as older servers
/// do, in `root` itself; of at least `len` bytes; and owned by the server, by
/// user 0 or by us. Nothing on the way is followed.
pub(crate) fn open_given(root: &Path, name: &str, len: usize, server: u32) -> io::Result<File> {
    let refuse =
        |why: &str| io::Error::new(io::ErrorKind::PermissionDenied, format!("{name}: {why}"));
    let parts = components(root, name).ok_or_else(|| refuse("not a name in the shared folder"))?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut folder = open(root, flags, Mode::empty())?;
    let (file, folders) = parts.split_last().ok_or_else(|| refuse("empty"))?;
    for part in folders {
        folder = openat(&folder, part.as_str(), flags | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let fd = openat(&folder, file.as_str(), flags, Mode::empty())?;
    let stat: FileStat = fstat(&fd)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(refuse("not a regular file"));
    }
    if stat.st_nlink > 1 {
        return Err(refuse("linked more than once"));
    }
    if ![0, server, nix::unistd::geteuid().as_raw()].contains(&stat.st_uid) {
        return Err(refuse("owned by a stranger"));
    }
    if usize::try_from(stat.st_size).is_ok_and(|size| size >= len) {
        return Ok(File::from(fd));
    }
    Err(refuse("too short"))
}

/// The one or two parts of `name` below `root`.
fn components(root: &Path, name: &str) -> Option<Vec<String>> {
    let below = match name.strip_prefix(root.to_str()?) {
        Some(rest) => rest.strip_prefix('/')?.to_string(),
        // libqb 1 gives names without a folder, to be prefixed.
        None if !name.contains('/') => format!("qb-{name}"),
        None => return None,
    };
    let parts: Vec<String> = below.split('/').map(str::to_string).collect();
    let plain = |part: &String| !part.is_empty() && part != "." && part != "..";
    (parts.len() <= 2 && parts.iter().all(plain)).then_some(parts)
}

/// Removes, as a client, what a dead server left: the folder that holds `name`.
/// Only a folder that bears the server's number is touched.
pub(crate) fn remove_left_behind(root: &Path, name: &str, server: u32) {
    let Some(parts) = components(root, name) else { return };
    let [folder, _] = parts.as_slice() else { return };
    if server_pid(folder.as_ref()) != Some(server) {
        return;
    }
    let path = root.join(folder);
    let Ok(fd) = open(&path, directory_flags(), Mode::empty()) else { return };
    empty(&File::from(fd), &path);
    let _ = fs::remove_dir(&path);
}

/// Makes room for a service's socket file: removes one that nobody listens on;
/// anything else in its place is a clear refusal.
pub(crate) fn clear_socket(path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let refuse = |kind, why: &str| Err(io::Error::new(kind, format!("{}: {why}", path.display())));
    if !std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) {
        return refuse(io::ErrorKind::AlreadyExists, "there is something that is not a socket");
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => refuse(io::ErrorKind::AddrInUse, "another process serves this name"),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(e) => Err(e),
    }
}

/// Lets everybody connect to a socket file; who may is decided later.
pub(crate) fn open_socket(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
}

#[cfg(test)]
mod tests;
