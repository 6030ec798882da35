//! The key file, `/etc/corosync/authkey`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Shortest key in bytes, as corosync-keygen allows.
pub const MIN_LEN: usize = 128;
/// Longest key in bytes.
pub const MAX_LEN: usize = 4096;

/// The secret that the nodes of a cluster share; wiped on drop, never printed.
#[derive(Clone)]
pub struct Authkey {
    bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Authkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authkey({} bytes)", self.bytes.len())
    }
}

/// Why a key cannot be used. The daemon does not start then: it never falls back
/// to clear datagrams.
#[derive(Debug)]
pub enum KeyError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// Somebody who is neither root nor the given user can write it.
    Writable(PathBuf, u32),
    /// It is shorter than [`MIN_LEN`] or longer than [`MAX_LEN`].
    Length(usize),
    /// All its bytes are the same: it is not a key.
    Uniform,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, why) => write!(
                f,
                "cannot read the key {}: {why}; copy it from another node or make one with \
                 corosync-keygen",
                path.display()
            ),
            Self::Writable(path, mode) => write!(
                f,
                "the key {} can be written by others (mode {:04o}): anybody could have replaced \
                 it; make it anew, then chmod 0400",
                path.display(),
                mode & 0o7777
            ),
            Self::Length(len) => write!(
                f,
                "the key is {len} bytes long, {MIN_LEN} to {MAX_LEN} are needed; make one with \
                 corosync-keygen"
            ),
            Self::Uniform => {
                write!(f, "the key is one byte repeated; make one with corosync-keygen")
            }
        }
    }
}

impl std::error::Error for KeyError {}

/// A loaded key, and what the administrator should be told about its file.
#[derive(Debug)]
pub struct Loaded {
    /// The key.
    pub key: Authkey,
    /// A warning with the remedy, when others can read the file.
    pub warning: Option<String>,
}

impl Authkey {
    /// Judges key material.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if !(MIN_LEN..=MAX_LEN).contains(&bytes.len()) {
            return Err(KeyError::Length(bytes.len()));
        }
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(KeyError::Uniform);
        }
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// Reads the file at `path`; besides root, `owner` (hacluster) may own it.
    ///
    /// The checks are made on the open file, not on the name.
    pub fn load(path: &Path, owner: Option<u32>) -> Result<Loaded, KeyError> {
        let unreadable = |why| KeyError::Unreadable(path.to_path_buf(), why);
        let file = File::open(path).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        let trusted = meta.uid() == 0 || Some(meta.uid()) == owner;
        let mode = meta.mode();
        if mode & 0o002 != 0 || (mode & 0o020 != 0 && meta.gid() != 0) || !trusted {
            return Err(KeyError::Writable(path.to_path_buf(), mode));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
        file.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let warning = (mode & 0o004 != 0)
            .then(|| format!("anybody can read the key {0}: chmod 0400 {0}", path.display()));
        Ok(Loaded { key: Self::from_bytes(&bytes)?, warning })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A file that is gone when the test is over.
    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str, content: &[u8], mode: u32) -> Self {
            let path = std::env::temp_dir().join(format!("authkey-{}-{name}", std::process::id()));
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Self(path)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn material(len: usize) -> Vec<u8> {
        (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    fn load(file: &Temp) -> Result<Loaded, KeyError> {
        // The tests own what they write, whoever runs them.
        Authkey::load(&file.0, Some(nix::unistd::getuid().as_raw()))
    }

    #[test]
    fn a_good_key_loads_and_does_not_print() {
        let file = Temp::new("good", &material(256), 0o400);
        let loaded = load(&file).unwrap();
        assert_eq!(loaded.warning, None);
        assert_eq!(format!("{:?}", loaded.key), "Authkey(256 bytes)");
    }

    #[test]
    fn a_readable_key_gets_a_warning_and_a_writable_one_is_refused() {
        let file = Temp::new("readable", &material(256), 0o644);
        assert!(load(&file).unwrap().warning.unwrap().contains("chmod 0400"));
        for (name, mode) in [("world", 0o602), ("all", 0o666)] {
            assert!(matches!(
                load(&Temp::new(name, &material(256), mode)),
                Err(KeyError::Writable(..))
            ));
        }
    }

    #[test]
    fn no_key_is_an_error_with_a_remedy() {
        let why = |content: &[u8], name: &str| load(&Temp::new(name, content, 0o400)).unwrap_err();
        assert!(matches!(why(&material(127), "short"), KeyError::Length(127)));
        assert!(matches!(why(&material(4097), "long"), KeyError::Length(4097)));
        assert!(matches!(why(&[7; 256], "uniform"), KeyError::Uniform));
        let missing = Authkey::load(Path::new("/nonexistent/authkey"), None).unwrap_err();
        assert!(missing.to_string().contains("corosync-keygen"), "{missing}");
    }
}
