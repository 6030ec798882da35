//! The crate's server with the protocol of the test programs, in a thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use qb_ipc::{
    Conn, ConnectionStats, Event, Frame, Rule, SendError, Server, ServerConfig, ServiceStats,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{ASK_CLOSE, ASK_DIE, ASK_EVENTS, ASK_FLOW, ECHO_ERROR, pattern};

/// What happened at the service, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    Accepted(Conn, u32, u32),
    Closed(Conn, String),
    Blocked(Conn),
    Writable(Conn),
}

enum Command {
    Flow(u8),
    Stats(std::sync::mpsc::Sender<(ServiceStats, Vec<ConnectionStats>)>),
    Event(i32, Vec<u8>),
    Stop,
}

/// A running service.
pub(crate) struct Service {
    commands: UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    log: Arc<(Mutex<Vec<Log>>, Condvar)>,
}

impl Service {
    pub(crate) fn start(config: ServerConfig, rule: Rule) -> Self {
        let (commands, receiver) = unbounded_channel();
        let log = Arc::<(Mutex<Vec<Log>>, Condvar)>::default();
        let theirs = Arc::clone(&log);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let server = Server::listen(config, rule).unwrap();
                ready.send(()).unwrap();
                Turns { server, log: theirs, events: BTreeMap::new() }.run(receiver).await;
            });
        });
        is_ready.recv().unwrap();
        Self { commands, thread: Some(thread), log }
    }

    /// Sets the flow control level of every client.
    pub(crate) fn flow(&self, level: u8) {
        self.commands.send(Command::Flow(level)).unwrap();
    }

    /// Sends an event to every client, without asking what became of it.
    pub(crate) fn event(&self, id: i32, body: Vec<u8>) {
        self.commands.send(Command::Event(id, body)).unwrap();
    }

    pub(crate) fn stats(&self) -> (ServiceStats, Vec<ConnectionStats>) {
        let (send, receive) = std::sync::mpsc::channel();
        self.commands.send(Command::Stats(send)).unwrap();
        receive.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Everything that has happened so far.
    pub(crate) fn log(&self) -> Vec<Log> {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits for something to have happened.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: impl Fn(&Log) -> bool) -> Log {
        let (log, changed) = &*self.log;
        let log = log.lock().unwrap();
        let found = |log: &Vec<Log>| log.iter().find(|entry| what(entry)).cloned();
        let (log, timeout) = changed
            .wait_timeout_while(log, Duration::from_secs(60), |log| found(log).is_none())
            .unwrap();
        assert!(!timeout.timed_out(), "it did not happen: {log:#?}");
        found(&log).unwrap()
    }

    /// Waits until `count` connections have ended; returns why the last did.
    #[track_caller]
    pub(crate) fn wait_closed(&self, count: usize) -> String {
        super::eventually("connections to end", || self.closed().len() >= count);
        self.closed().pop().unwrap()
    }

    pub(crate) fn closed(&self) -> Vec<String> {
        let why = |entry| if let Log::Closed(_, why) = entry { Some(why) } else { None };
        self.log().into_iter().filter_map(why).collect()
    }

    pub(crate) fn accepted(&self) -> usize {
        self.log().iter().filter(|e| matches!(e, Log::Accepted(..))).count()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the service panicked");
    }
}

struct Turns {
    server: Server,
    log: Arc<(Mutex<Vec<Log>>, Condvar)>,
    /// Events still to be sent: next number, how many, how long.
    events: BTreeMap<Conn, (u32, u32, u32)>,
}

impl Turns {
    async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Flow(level)) => self.flow(level),
                    Some(Command::Event(id, body)) => self.event(id, &body),
                    Some(Command::Stats(to)) => self.stats(&to),
                    Some(Command::Stop) | None => return,
                },
                event = self.server.next_event() => self.handle(event),
            }
        }
    }

    fn flow(&mut self, level: u8) {
        for conn in self.server.connections().collect::<Vec<_>>() {
            self.server.set_flow_control(conn, level);
        }
    }

    fn event(&mut self, id: i32, body: &[u8]) {
        for conn in self.server.connections().collect::<Vec<_>>() {
            let _ = self.server.send_event(conn, id, 0, body);
        }
    }

    fn stats(&self, to: &std::sync::mpsc::Sender<(ServiceStats, Vec<ConnectionStats>)>) {
        let each = self.server.connections().filter_map(|c| self.server.connection_stats(c));
        let _ = to.send((self.server.stats(), each.collect()));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Request { conn, frame } => self.request(conn, frame),
            Event::Accepted { conn, peer } => {
                let (uid, gid) = (peer.credentials.uid, peer.credentials.gid);
                self.note(Log::Accepted(conn, uid, gid));
            }
            Event::Closed { conn, why } => {
                self.events.remove(&conn);
                self.note(Log::Closed(conn, why));
            }
            Event::Blocked(conn) => self.note(Log::Blocked(conn)),
            Event::Writable(conn) => {
                self.note(Log::Writable(conn));
                self.send_events(conn);
            }
        }
    }

    fn note(&self, entry: Log) {
        self.log.0.lock().unwrap().push(entry);
        self.log.1.notify_all();
    }

    fn request(&mut self, conn: Conn, frame: Frame) {
        let word = |at: usize| {
            frame.body.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes(b.try_into().unwrap()))
        };
        match frame.id {
            ASK_EVENTS => {
                let _ = self.server.respond(conn, frame.id, 0, &[]);
                self.events.insert(conn, (0, word(0), word(4)));
                self.send_events(conn);
            }
            ASK_FLOW => {
                self.server.set_flow_control(conn, u8::try_from(word(0)).unwrap_or(9));
                let _ = self.server.respond(conn, frame.id, 0, &[]);
            }
            ASK_CLOSE => self.server.close(conn, "asked to"),
            ASK_DIE => std::process::exit(3),
            id => {
                let answer = self.server.respond(conn, id, ECHO_ERROR, &frame.body);
                assert!(matches!(answer, Ok(()) | Err(SendError::Gone | SendError::Overrun)));
            }
        }
    }

    /// Sends until the queue is full; the rest follows when there is room.
    fn send_events(&mut self, conn: Conn) {
        let Some((mut next, count, len)) = self.events.remove(&conn) else { return };
        let mut waiting = VecDeque::new();
        while next < count && waiting.is_empty() {
            let body = pattern(next, len as usize);
            if self.server.send_event(conn, next as i32, 0, &body).is_err() {
                return;
            }
            next += 1;
            let queued = self.server.connection_stats(conn).map_or(0, |s| s.queued);
            if queued > 64 {
                waiting.push_back(next);
            }
        }
        if next < count {
            self.events.insert(conn, (next, count, len));
        }
    }
}
