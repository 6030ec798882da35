//! The system section: how the daemon runs.

use crate::schema::Document;
use crate::{Kind, Refused};

/// What local connections are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpcType {
    /// What the system has; shared memory.
    #[default]
    Native,
    /// Shared memory.
    SharedMemory,
    /// Sockets.
    Socket,
}

/// Whether the daemon goes to the root control group for its realtime priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootCgroup {
    /// Always.
    Yes,
    /// Never.
    No,
    /// When it gets no realtime priority otherwise.
    #[default]
    Auto,
}

/// A nice value for a daemon without realtime priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nice {
    /// Unchanged.
    #[default]
    Default,
    /// The highest priority.
    Max,
    /// The lowest priority.
    Min,
    /// This one.
    Value(i32),
}

/// The system section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// What local connections are made of.
    pub ipc_type: IpcType,
    /// Whether to ask for realtime priority.
    pub sched_rr: bool,
    /// Its nice value otherwise.
    pub nice: Nice,
    /// Its control group.
    pub root_cgroup: RootCgroup,
    /// Whether knet may do without privileges.
    pub allow_knet_handle_fallback: bool,
    /// Where it keeps its state.
    pub state_dir: String,
}

/// Where state is kept unless set.
pub const STATE_DIR: &str = "/var/lib/corosync";

impl System {
    pub(crate) fn of(document: &Document) -> Result<Self, Refused> {
        let text = |name: &str| document.keys.text(&format!("system.{name}"));
        Ok(Self {
            ipc_type: match text("qb_ipc_type") {
                Some("shm") => IpcType::SharedMemory,
                Some("socket") => IpcType::Socket,
                _ => IpcType::Native,
            },
            sched_rr: text("sched_rr") != Some("no"),
            nice: nice(document)?,
            root_cgroup: match text("move_to_root_cgroup") {
                Some("yes") => RootCgroup::Yes,
                Some("no") => RootCgroup::No,
                _ => RootCgroup::Auto,
            },
            allow_knet_handle_fallback: text("allow_knet_handle_fallback") == Some("yes"),
            state_dir: text("state_dir").unwrap_or(STATE_DIR).to_owned(),
        })
    }
}

fn nice(document: &Document) -> Result<Nice, Refused> {
    let key = "system.priority";
    match document.keys.text(key) {
        None => Ok(Nice::Default),
        Some("max") => Ok(Nice::Max),
        Some("min") => Ok(Nice::Min),
        Some(text) => text.parse().map(Nice::Value).map_err(|_| {
            document.refuse(Kind::Plain, key, format!("Priority value {text} is invalid"))
        }),
    }
}
