//! What the packages hold, as data: the one place that names a file we ship.

/// Something that the packages lay out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it goes, from `/`.
    pub(crate) path: &'static str,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// Owner and group, by number, as packages have them.
    pub(crate) owner: (u32, u32),
    /// Where it comes from.
    pub(crate) source: Source,
}

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A folder.
    Folder,
    /// A program that a package of the workspace builds, copied to a file of its
    /// own: who runs it, which capabilities it gets and what `ps` shows depend
    /// on the file, so no two paths share one.
    Program { package: &'static str, binary: &'static str },
    /// A file of the repository.
    File(&'static str),
}

const fn folder(path: &'static str) -> Entry {
    Entry { path, mode: 0o755, owner: (0, 0), source: Source::Folder }
}

const fn file(path: &'static str, source: &'static str) -> Entry {
    Entry { path, mode: 0o644, owner: (0, 0), source: Source::File(source) }
}

const fn program(path: &'static str, package: &'static str, binary: &'static str) -> Entry {
    Entry { path, mode: 0o755, owner: (0, 0), source: Source::Program { package, binary } }
}

/// Everything, folders before what is in them.
pub(crate) const TABLE: &[Entry] = &[
    folder("/usr"),
    folder("/usr/bin"),
    program("/usr/bin/corosync-blackbox", "corosync-tools", "corosync-blackbox"),
    folder("/usr/lib"),
    folder("/usr/lib/systemd"),
    folder("/usr/lib/systemd/system"),
    file("/usr/lib/systemd/system/corosync.service", "systemd/corosync.service"),
    folder("/usr/lib/systole"),
    program("/usr/lib/systole/miniatured", "miniatured", "miniatured"),
    folder("/usr/sbin"),
    program("/usr/sbin/corosync", "corosync", "corosync"),
    program("/usr/sbin/corosync-cfgtool", "corosync-tools", "corosync-cfgtool"),
    program("/usr/sbin/corosync-cmapctl", "corosync-tools", "corosync-cmapctl"),
    program("/usr/sbin/corosync-cpgtool", "corosync-tools", "corosync-cpgtool"),
    program("/usr/sbin/corosync-keygen", "corosync-tools", "corosync-keygen"),
    program("/usr/sbin/corosync-quorumtool", "corosync-tools", "corosync-quorumtool"),
    program("/usr/sbin/systole-replay", "systole-replay", "systole-replay"),
];
