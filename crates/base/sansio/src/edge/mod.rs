//! The vocabulary between a daemon's outermost core and its driver.
//!
//! A daemon is a `Core<Input = edge::Input<..>, Output = edge::Output<..>>`;
//! `host` drives it in a process and `world` in the simulator, by the same
//! rules. Bytes arrive as they came (decoding is core code, so that hostile
//! bytes are simulated and fuzzed); what the driver does for everybody, and no
//! core sees, is decryption, the libqb handshake, and the bounds of each
//! connection's queue.

mod codec;

use std::net::SocketAddr;

use crate::{Core, Job, JobId, Recorded};

pub use codec::{record, restore};

/// A local IPC connection, accepted or made; numbers are never used again in
/// one life of the daemon. The driver numbers accepted ones from 2^32 upwards,
/// cores number the connections they ask for from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(pub u64);

/// A child process that the core asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Child(pub u64);

/// A request to make bytes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistId(pub u64);

/// Which of the daemon's datagram sockets (links), in the order of its
/// configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u8);

/// Who is at the other end of a local connection, as the kernel says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Process id.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// The three channels of a libqb connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Client to server.
    Request,
    /// Server to client, answers to requests, in their order.
    Response,
    /// Server to client, unasked.
    Event,
}

/// One message on a local connection: the fields of libqb's header that the
/// application uses, and the body behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which channel it came on or goes to.
    pub channel: Channel,
    /// Message id, from 0; negative ones are the library's own.
    pub id: i32,
    /// Error of a response or event; 0 on requests.
    pub error: i32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// What can happen to a daemon; `R` is the outcome of its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<R> {
    /// A datagram came in, authenticated if the configuration says so.
    Datagram {
        /// The socket it came in on.
        link: Link,
        /// Its source address.
        from: SocketAddr,
        /// Its clear bytes.
        bytes: Vec<u8>,
    },
    /// A client connected to one of our services and passed its allow rule.
    Accepted {
        /// The new connection.
        conn: Conn,
        /// The service's name.
        service: String,
        /// Who it is.
        peer: Credentials,
    },
    /// A connection that the core asked for is there.
    Connected {
        /// The number the core gave it.
        conn: Conn,
        /// Who serves it.
        peer: Credentials,
    },
    /// A message came in.
    Frame {
        /// On this connection.
        conn: Conn,
        /// The message.
        frame: Frame,
    },
    /// A connection ended, or could not be made.
    Closed {
        /// The connection; it will not be heard of again.
        conn: Conn,
        /// Why, for the log.
        why: String,
    },
    /// The connection's queue is full: what is sent now waits no longer, it
    /// costs the connection.
    Blocked(Conn),
    /// The queue has room again.
    Writable(Conn),
    /// Something happened to a child process.
    Child {
        /// The child.
        child: Child,
        /// What happened.
        event: ChildEvent,
    },
    /// The bytes are on disk, and so is the name.
    Persisted(PersistId),
    /// They are not; what was there before still is.
    PersistFailed {
        /// The request.
        id: PersistId,
        /// The system's error number.
        errno: i32,
    },
    /// A job ended.
    JobDone {
        /// The job.
        id: JobId,
        /// What it found out.
        outcome: R,
    },
    /// A job panicked or was lost.
    JobFailed {
        /// The job.
        id: JobId,
        /// Why, for the log.
        why: String,
    },
    /// The driver's loop stood still for longer than [`Core::pause_limit`].
    Paused {
        /// For how many milliseconds.
        ms: u64,
    },
    /// What `ReadConfig` has asked for, in the daemon's own form, or why there
    /// is none.
    ConfigRead(Result<Vec<u8>, String>),
    /// SIGHUP: read the configuration again, reopen the logs.
    Reload,
    /// SIGTERM or SIGINT: end in good order.
    Stop,
}

/// What can happen to a child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// It could not be started.
    SpawnFailed {
        /// The system's error number.
        errno: i32,
    },
    /// It ended by itself.
    Exited {
        /// Its exit status.
        code: i32,
        /// The first bytes of its output, bounded by the request.
        stdout: Vec<u8>,
    },
    /// A signal ended it.
    Signalled {
        /// The signal.
        signal: i32,
    },
    /// It exceeded its time and was killed with its process group.
    TimedOut,
}

/// A child process to start. No shell is involved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// The number by which it will be spoken of.
    pub child: Child,
    /// Absolute path of the program.
    pub program: String,
    /// Arguments after the program's name; never secrets.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// What it reads on standard input.
    pub stdin: Vec<u8>,
    /// When it is killed, milliseconds after its start.
    pub timeout_ms: u64,
    /// How many bytes of its standard output are kept.
    pub stdout_max: u32,
}

/// How much an administrator wants to know of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Needs attention now.
    Error,
    /// May need attention.
    Warning,
    /// A fact of the cluster's life.
    Notice,
    /// What the daemon did.
    Info,
    /// Why.
    Debug,
    /// Everything.
    Trace,
}

/// A user or a group of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A user by number.
    User(u32),
    /// A primary group by number.
    Group(u32),
}

/// What a daemon wants done; `J` is the type of its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<J> {
    /// Send a datagram; it may be lost.
    Send {
        /// By this socket.
        link: Link,
        /// To this address.
        to: SocketAddr,
        /// These clear bytes.
        bytes: Vec<u8>,
    },
    /// Connect to a local service; answered by `Connected` or `Closed`.
    Connect {
        /// The number of the new connection.
        conn: Conn,
        /// The service's name.
        service: String,
    },
    /// Queue a message on a connection.
    Frame {
        /// The connection; one that is gone is ignored.
        conn: Conn,
        /// The message.
        frame: Frame,
    },
    /// Tell the client whether its requests are served now (libqb: 0 served, 1
    /// held back, 2 held back also for those that raised their limit).
    FlowControl {
        /// The connection.
        conn: Conn,
        /// 0, 1 or 2.
        level: u8,
    },
    /// End a connection after what is queued on it has been sent.
    Close {
        /// The connection.
        conn: Conn,
        /// Why, for the log.
        why: String,
    },
    /// Start a child process; answered by `Child`.
    Spawn(Spawn),
    /// Kill a child with its process group; answered by `Child`.
    Kill(Child),
    /// Replace the file `name` in the daemon's state directory, durably;
    /// answered by `Persisted` or `PersistFailed`, in the order asked.
    Persist {
        /// The number of the request.
        id: PersistId,
        /// A file name without a slash.
        name: String,
        /// The new content.
        bytes: Vec<u8>,
    },
    /// Start slow work; answered by `JobDone` or `JobFailed`.
    Job {
        /// The number of the job.
        id: JobId,
        /// The work with its snapshot.
        job: J,
    },
    /// The job's result is no longer wanted.
    CancelJob(JobId),
    /// Let clients of this user or group in from now on, or no longer; those
    /// that are connected stay.
    Allow {
        /// The user or group.
        who: Who,
        /// Whether they may connect.
        allowed: bool,
    },
    /// Read the configuration and what the machine knows of the names in it,
    /// off the loop; answered by `ConfigRead`.
    ReadConfig,
    /// Open the log files anew before the next line.
    ReopenLogs,
    /// Say something to the administrator.
    Log {
        /// The part of the daemon that speaks, as the log names it.
        part: &'static str,
        /// How important it is.
        level: Level,
        /// What happened, to whom, why, and what to do next.
        text: String,
    },
    /// A fact for the checkers, and for the trace of whoever debugs.
    Observe(observe::Event),
    /// The daemon is ready for clients: `sd_notify`, and what starts after it may start.
    Ready,
    /// End the process after draining.
    Exit {
        /// Exit status: 0, or a `crm_exit_t`/corosync code.
        code: u8,
    },
}

/// A core at a daemon's edge, for drivers that hold several kinds.
pub trait Daemon:
    Core<Input = Input<<Self::Jobs as Job>::Outcome>, Output = Output<Self::Jobs>> + Recorded
{
    /// Its slow work; [`crate::NoJob`] for daemons that have none.
    type Jobs: Job;
}
