//! Ending by vote: who tracks shutdowns is asked, and one no is enough.
//!
//! ```text
//!  try_shutdown ──nobody else tracks, or immediate──▶ confirmed
//!       │ ask                                            ▲
//!       ▼            all yes, or regardless              │
//!     voting ────────────────────────────────────────────┘
//!       └────────── a no when all have answered, time over ──▶ Busy
//! ```

use std::time::Duration;

use ring_service::{Layout, Status, event, response};
use sansio::Now;
use sansio::edge::Conn;

use crate::message::Message;
use crate::requests::TRYSHUTDOWN_ANSWER;
use crate::{Cfg, Timer};

const TESTSHUTDOWN: i32 = 10;
const REGARDLESS: u32 = 1;
const IMMEDIATE: u32 = 2;

/// What a client has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    #[default]
    None,
    Yes,
    No,
}

/// One connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) tracking: bool,
    pub(crate) answer: Answer,
}

/// A shutdown that is being voted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    asker: Conn,
    flags: u32,
}

impl Cfg {
    /// None: answered when all have voted.
    pub(crate) fn try_shutdown(&mut self, now: Now, conn: Conn, flags: u32) -> Option<Status> {
        if flags == IMMEDIATE {
            self.say(&Message::Shutdown);
            return Some(Status::Ok);
        }
        if self.vote.is_some() {
            return Some(Status::Exist);
        }
        if self.voters(conn).next().is_none() {
            self.say(&Message::Shutdown);
            return Some(Status::Ok);
        }
        self.vote = Some(Vote { asker: conn, flags });
        for client in self.clients.values_mut() {
            client.answer = Answer::None;
        }
        let timeout = Duration::from_millis(self.shutdown_timeout_ms.into());
        self.timers.arm(Timer::Shutdown, now.mono + timeout);
        self.ask(Status::Ok, flags, |voter| voter != conn);
        None
    }

    fn voters(&self, asker: Conn) -> impl Iterator<Item = &Client> {
        let others = self.clients.iter().filter(move |(conn, _)| **conn != asker);
        others.map(|(_, client)| client).filter(|client| client.tracking)
    }

    fn ask(&mut self, status: Status, flags: u32, whom: impl Fn(Conn) -> bool) {
        let body = Layout::response(32).u32(24, flags).finish();
        let trackers = self.clients.iter().filter(|(_, client)| client.tracking);
        for conn in trackers.map(|(conn, _)| *conn).filter(|conn| whom(*conn)) {
            self.out.push_back(event(conn, TESTSHUTDOWN, status, body.clone()));
        }
    }

    pub(crate) fn vote(&mut self, conn: Conn, yes: bool) -> Status {
        if self.vote.is_none() {
            return Status::Access;
        }
        if let Some(client) = self.clients.get_mut(&conn) {
            client.answer = if yes { Answer::Yes } else { Answer::No };
        }
        self.count(false);
        Status::Ok
    }

    /// Ends the vote when all have answered, or when the time is over.
    fn count(&mut self, time_over: bool) {
        let Some(Vote { asker, flags }) = self.vote else { return };
        let waiting = self.voters(asker).any(|client| client.answer == Answer::None);
        if waiting && !time_over {
            return;
        }
        let all_yes = !waiting && self.voters(asker).all(|client| client.answer == Answer::Yes);
        let confirmed = all_yes || flags == REGARDLESS;
        self.vote = None;
        self.timers.disarm(Timer::Shutdown);
        let status = if confirmed { Status::Ok } else { Status::Busy };
        self.out.push_back(response(asker, TRYSHUTDOWN_ANSWER, status, Vec::new()));
        if confirmed {
            self.say(&Message::Shutdown);
        }
    }

    pub(crate) fn shutdown_timed_out(&mut self) {
        let Some(Vote { flags, .. }) = self.vote else { return };
        self.count(true);
        self.ask(Status::Timeout, flags, |_| true);
    }

    /// Who begins to track while a vote is under way is asked as well.
    pub(crate) fn track(&mut self, conn: Conn) {
        let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.tracking) else {
            return;
        };
        *client = Client { tracking: true, answer: Answer::None };
        if let Some(Vote { flags, .. }) = self.vote {
            self.ask(Status::Ok, flags, |voter| voter == conn);
        }
    }

    /// Who stops tracking has no objection.
    pub(crate) fn untrack(&mut self, conn: Conn) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.tracking = false;
        }
        self.count(false);
    }

    /// A client has connected.
    pub fn accepted(&mut self, conn: Conn) {
        self.clients.insert(conn, Client::default());
    }

    /// A client has gone; with the asker goes its vote.
    pub fn closed(&mut self, conn: Conn) {
        self.clients.remove(&conn);
        self.reloading.remove(&conn);
        if self.vote.is_some_and(|vote| vote.asker == conn) {
            self.vote = None;
            self.timers.disarm(Timer::Shutdown);
        }
        self.count(false);
    }
}
