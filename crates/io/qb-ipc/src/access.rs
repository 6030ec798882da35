//! Who may connect, and to whom we talk.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sansio::edge::Credentials;

/// A client that wants to connect, as the kernel describes it.
///
/// libqb knows the credentials alone, taken from the control message that comes
/// with the connection request. Here user or group 0 counts only if the socket
/// itself was made with it, too (`SO_PEERCRED`), so that a socket handed to a
/// privileged process lends nothing. The supplementary groups (`SO_PEERGROUPS`)
/// let members of a group in who have another primary one, as file permissions do
/// with libqb.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Process, user and group.
    pub credentials: Credentials,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Peer {
    /// Whether its primary or a supplementary group is `gid`.
    pub fn is_member_of(&self, gid: u32) -> bool {
        self.credentials.gid == gid || self.groups.contains(&gid)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Credentials { pid, uid, gid } = self.credentials;
        write!(f, "pid {pid} uid {uid} gid {gid}")
    }
}

/// What an accepted client's files look like; `None` leaves what the server's
/// process gives new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Their owner.
    pub uid: Option<u32>,
    /// Their group.
    pub gid: Option<u32>,
    /// Their permission bits.
    pub mode: u32,
}

impl Grant {
    /// libqb's default: the client's own, and nobody else's.
    pub fn own(peer: &Peer) -> Self {
        let Credentials { uid, gid, .. } = peer.credentials;
        Self { uid: Some(uid), gid: Some(gid), mode: 0o600 }
    }
}

/// The error number, positive, that a refused client gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub i32);

impl Refusal {
    /// The client may not connect.
    pub const DENIED: Self = Self(libc::EACCES);
    /// The service is not ready; libraries of Corosync try again.
    pub const NOT_READY: Self = Self(libc::EAGAIN);
    /// The service ends.
    pub const ENDING: Self = Self(libc::ECONNREFUSED);
}

/// Decides about each client, before anything is made for it.
pub type Rule = Box<dyn FnMut(&Peer) -> Result<Grant, Refusal> + Send>;

/// Everybody may connect and gets files of his own.
pub fn allow_all() -> Rule {
    Box::new(|peer| Ok(Grant::own(peer)))
}

/// Corosync's rule: user 0, group 0, and whom `table` names.
pub fn corosync_rule(table: UidGidTable) -> Rule {
    Box::new(move |peer| {
        let Credentials { uid, gid, .. } = peer.credentials;
        let allowed = uid == 0 || gid == 0 || table.names(uid, gid);
        if allowed { Ok(Grant::own(peer)) } else { Err(Refusal::DENIED) }
    })
}

/// Pacemaker's rule: user 0, the cluster's user, and members of its group.
///
/// Its daemons accept anybody and give the files to the group, so that the file
/// system refuses strangers; here they are refused at the door. Owners and modes
/// are the same: the client's own for user 0, else the server's with the
/// cluster's group and 0660.
pub fn pacemaker_rule(cluster_uid: u32, cluster_gid: u32) -> Rule {
    Box::new(move |peer| match peer.credentials.uid {
        0 => Ok(Grant::own(peer)),
        uid if uid == cluster_uid || peer.is_member_of(cluster_gid) => {
            Ok(Grant { uid: None, gid: Some(cluster_gid), mode: 0o660 })
        }
        _ => Err(Refusal::DENIED),
    })
}

/// Users and groups that may connect to Corosync's services: the keys
/// `uidgid.*` of its cmap. Clones share one table, which may change at any time.
#[derive(Clone, Debug, Default)]
pub struct UidGidTable(Arc<Mutex<Named>>);

#[derive(Debug, Default)]
struct Named {
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl UidGidTable {
    /// Names a user or no longer.
    pub fn set_uid(&self, uid: u32, allowed: bool) {
        change(&mut self.lock().uids, uid, allowed);
    }

    /// Names a group or no longer; primary groups alone count.
    pub fn set_gid(&self, gid: u32, allowed: bool) {
        change(&mut self.lock().gids, gid, allowed);
    }

    fn names(&self, uid: u32, gid: u32) -> bool {
        let named = self.lock();
        named.uids.contains(&uid) || named.gids.contains(&gid)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Named> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(set: &mut BTreeSet<u32>, id: u32, present: bool) {
    if present {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}

/// Whom a client takes for a genuine server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expectation {
    /// User or group 0.
    #[default]
    Root,
    /// User or group 0, or this user or group.
    RootOr {
        /// A user id.
        uid: u32,
        /// A group id.
        gid: u32,
    },
    /// Whoever serves the name; for tests.
    Anyone,
}

impl Expectation {
    /// Whether `server` is one of those expected.
    pub fn accepts(self, server: Credentials) -> bool {
        let Credentials { uid, gid, .. } = server;
        match self {
            Self::Root => uid == 0 || gid == 0,
            Self::RootOr { uid: u, gid: g } => uid == 0 || gid == 0 || uid == u || gid == g,
            Self::Anyone => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32, groups: &[u32]) -> Peer {
        Peer { credentials: Credentials { pid: 1, uid, gid }, groups: groups.into() }
    }

    #[test]
    fn corosync_lets_root_and_the_named_in() {
        let table = UidGidTable::default();
        let mut rule = corosync_rule(table.clone());
        assert_eq!(
            rule(&peer(0, 7, &[])).unwrap(),
            Grant { uid: Some(0), gid: Some(7), mode: 0o600 }
        );
        assert!(rule(&peer(7, 0, &[])).is_ok());
        assert_eq!(rule(&peer(7, 8, &[0])), Err(Refusal::DENIED));
        table.set_gid(8, true);
        assert!(rule(&peer(7, 8, &[])).is_ok());
        assert_eq!(rule(&peer(7, 9, &[8])), Err(Refusal::DENIED));
        table.set_gid(8, false);
        table.set_uid(7, true);
        assert!(rule(&peer(7, 9, &[])).is_ok());
        table.set_uid(7, false);
        assert_eq!(rule(&peer(7, 8, &[])), Err(Refusal::DENIED));
    }

    #[test]
    fn pacemaker_lets_members_in_by_any_group() {
        let mut rule = pacemaker_rule(189, 190);
        let shared = Grant { uid: None, gid: Some(190), mode: 0o660 };
        assert_eq!(
            rule(&peer(0, 0, &[])).unwrap(),
            Grant { uid: Some(0), gid: Some(0), mode: 0o600 }
        );
        assert_eq!(rule(&peer(189, 190, &[])), Ok(shared));
        assert_eq!(rule(&peer(1000, 190, &[])), Ok(shared));
        assert_eq!(rule(&peer(1000, 1000, &[4, 190])), Ok(shared));
        assert_eq!(rule(&peer(1000, 1000, &[4])), Err(Refusal::DENIED));
        assert_eq!(rule(&peer(1000, 0, &[])), Err(Refusal::DENIED));
    }

    #[test]
    fn clients_know_whom_they_expect() {
        let server = |uid, gid| Credentials { pid: 1, uid, gid };
        assert!(Expectation::Root.accepts(server(0, 5)));
        assert!(!Expectation::Root.accepts(server(5, 5)));
        assert!(Expectation::RootOr { uid: 5, gid: 6 }.accepts(server(5, 9)));
        assert!(!Expectation::RootOr { uid: 5, gid: 6 }.accepts(server(6, 5)));
        assert!(Expectation::Anyone.accepts(server(6, 5)));
    }
}
