//! Which user, groups and capabilities each daemon runs with.
//!
//! Applied once, before the first thread: capabilities belong to threads, and
//! those that come later inherit them.

use std::fmt;
use std::io;

use nix::sys::prctl;
use nix::unistd::{Gid, Group, Uid, User, setgroups, setresgid, setresuid};

use crate::sys;

/// What a daemon keeps of its privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// The user it becomes; None: stays what it is.
    pub user: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// Its other groups.
    pub supplementary_groups: Vec<String>,
    /// What it can still do that an ordinary user cannot.
    pub capabilities: Capabilities,
    /// Whether what it executes can never gain privileges. Off for those that
    /// start agents: what agents and services do is not ours to limit.
    pub no_new_privs: bool,
    /// Whether its memory may be dumped and traced: off where it holds keys,
    /// passwords of devices or the CIB.
    pub dumpable: bool,
}

/// Capabilities after the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// All that it was started with.
    All,
    /// These only, also across exec.
    Keep(Vec<Capability>),
}

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $number:literal),+ $(,)?) => {
        /// A capability of the kernel by its number in `linux/capability.h`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Capability { $($(#[$doc])* $name = $number),+ }
    };
}

capabilities! {
    /// Change owners of files: those of IPC connections.
    Chown = 0,
    /// Read and write files of others: state that belongs to hacluster.
    DacOverride = 1,
    /// Change modes of others' files.
    Fowner = 3,
    /// Multicast and device settings.
    NetAdmin = 12,
    /// Raw sockets.
    NetRaw = 13,
    /// Lock memory beyond the limit.
    IpcLock = 14,
    /// Real-time scheduling.
    SysNice = 23,
    /// Exceed limits, lower the OOM score.
    SysResource = 24,
    /// Ports below 1024.
    NetBindService = 10,
}

/// The daemons of the suite. Whoever starts agents keeps everything, since
/// agents do everything; the others start nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The membership engine.
    Corosync,
    /// The parent of the others.
    Pacemakerd,
    /// Owner of the CIB.
    Based,
    /// The scheduler.
    Schedulerd,
    /// The executor of agents.
    Execd,
    /// The fencer.
    Fenced,
    /// The attribute manager.
    Attrd,
    /// The controller.
    Controld,
    /// The executor on a remote node.
    Remoted,
}

impl Role {
    /// All of them, for tests and tables.
    pub const ALL: [Self; 9] = [
        Self::Corosync,
        Self::Pacemakerd,
        Self::Based,
        Self::Schedulerd,
        Self::Execd,
        Self::Fenced,
        Self::Attrd,
        Self::Controld,
        Self::Remoted,
    ];

    /// The short name, as in the daemon's own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corosync => "corosync",
            Self::Pacemakerd => "pacemakerd",
            Self::Based => "based",
            Self::Schedulerd => "schedulerd",
            Self::Execd => "execd",
            Self::Fenced => "fenced",
            Self::Attrd => "attrd",
            Self::Controld => "controld",
            Self::Remoted => "remoted",
        }
    }

    /// Its row of the table.
    pub fn privileges(self) -> Privileges {
        match self {
            Self::Based | Self::Schedulerd | Self::Attrd | Self::Controld => cluster_user(),
            Self::Execd | Self::Fenced | Self::Remoted => root(Capabilities::All, false),
            Self::Pacemakerd => root(Capabilities::All, true),
            Self::Corosync => Privileges {
                no_new_privs: true,
                ..root(Capabilities::Keep(MEMBERSHIP.to_vec()), false)
            },
        }
    }
}

/// What membership needs: its network, its scheduling, its memory, and to hand
/// IPC files to their clients.
const MEMBERSHIP: [Capability; 9] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::NetBindService,
    Capability::IpcLock,
    Capability::SysNice,
    Capability::SysResource,
];

/// hacluster:haclient and nothing else; holds the CIB or parts of it.
fn cluster_user() -> Privileges {
    Privileges {
        user: Some("hacluster".into()),
        group: Some("haclient".into()),
        supplementary_groups: Vec::new(),
        capabilities: Capabilities::Keep(Vec::new()),
        no_new_privs: true,
        dumpable: false,
    }
}

fn root(capabilities: Capabilities, dumpable: bool) -> Privileges {
    Privileges {
        user: None,
        group: None,
        supplementary_groups: Vec::new(),
        capabilities,
        no_new_privs: false,
        dumpable,
    }
}

/// Why the privileges could not be set; the daemon must not run.
#[derive(Debug)]
pub enum Refusal {
    /// There is no such user.
    NoUser(String),
    /// There is no such group.
    NoGroup(String),
    /// The system refused a step.
    System(&'static str, io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = "the package creates it; by hand: systemd-sysusers or";
        match self {
            Self::NoUser(name) => {
                write!(f, "there is no user \"{name}\" ({remedy} useradd -r -g haclient {name})")
            }
            Self::NoGroup(name) => {
                write!(f, "there is no group \"{name}\" ({remedy} groupadd -r {name})")
            }
            Self::System(step, error) => write!(f, "cannot {step}: {error}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Privileges {
    /// Makes the process what this says, for good.
    pub(crate) fn apply(&self) -> Result<(), Refusal> {
        let system = |step| move |error: nix::Error| Refusal::System(step, error.into());
        let uid = self.user.as_deref().map(find_user).transpose()?;
        let gid = self.group.as_deref().map(find_group).transpose()?;
        let others = self.supplementary_groups.iter().map(|name| find_group(name));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        if uid.is_some() || gid.is_some() {
            // The primary group stands in the list too, as initgroups leaves it.
            let list: Vec<Gid> = gid.into_iter().chain(others).collect();
            setgroups(&list).map_err(system("set the supplementary groups"))?;
        }
        if let Some(gid) = gid {
            setresgid(gid, gid, gid).map_err(system("set the group"))?;
        }
        self.set_user_and_capabilities(uid)?;
        if self.no_new_privs {
            prctl::set_no_new_privs().map_err(system("forbid new privileges"))?;
        }
        // Last: a change of ids resets it.
        prctl::set_dumpable(self.dumpable).map_err(system("set whether memory may be dumped"))
    }

    fn set_user_and_capabilities(&self, uid: Option<Uid>) -> Result<(), Refusal> {
        let system = |step| move |error: nix::Error| Refusal::System(step, error.into());
        if let Capabilities::Keep(kept) = &self.capabilities {
            limit_bounding(kept)?;
            prctl::set_keepcaps(true).map_err(system("keep capabilities"))?;
        }
        if let Some(uid) = uid {
            setresuid(uid, uid, uid).map_err(system("set the user"))?;
        }
        if let Capabilities::Keep(kept) = &self.capabilities {
            let set = kept.iter().fold(0, |set, capability| set | 1_u64 << (*capability as u32));
            sys::set_capabilities(set, set, 0)
                .map_err(|error| Refusal::System("set the capabilities", error))?;
            prctl::set_keepcaps(false).map_err(system("stop keeping capabilities"))?;
        }
        Ok(())
    }
}

/// Takes everything but `kept` from what exec could bring back. An ordinary
/// user cannot, and has nothing to take.
fn limit_bounding(kept: &[Capability]) -> Result<(), Refusal> {
    for number in 0..64 {
        if kept.iter().any(|capability| *capability as u32 == number) {
            continue;
        }
        match sys::drop_bounding(number) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(_) if !Uid::effective().is_root() => return Ok(()),
            Err(error) => return Err(Refusal::System("limit the capabilities", error)),
        }
    }
    Ok(())
}

fn find_user(name: &str) -> Result<Uid, Refusal> {
    let found = User::from_name(name).map_err(|e| Refusal::System("look the user up", e.into()))?;
    found.map(|user| user.uid).ok_or_else(|| Refusal::NoUser(name.into()))
}

fn find_group(name: &str) -> Result<Gid, Refusal> {
    let found =
        Group::from_name(name).map_err(|e| Refusal::System("look the group up", e.into()))?;
    found.map(|group| group.gid).ok_or_else(|| Refusal::NoGroup(name.into()))
}
