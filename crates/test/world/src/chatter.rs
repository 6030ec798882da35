//! A client of the ring that sends messages now and then: work for the order of
//! messages, and for local connections, that no resource would give.
//!
//! It is an oracle too, for what only a client can see: each message says for
//! which ring it was meant, and whoever gets it in another one panics.

use std::time::Duration;

use ::miniature::ipc::{self, DELIVER, DeliverEvent, MCAST, TRACK, VIEW, ViewEvent};
use ::miniature::ring;
use observe::{Node, RingId};
use sansio::edge::{self, Channel, Conn, Frame, Input, Output};
use sansio::{
    Core, Elided, Inspect, Mono, NoJob, Now, Outbox, Record, RecordError, Recorded, Rng, Secrets,
    TimerId, TimerTable,
};
use wire::{Reader, Writer};

sansio::timers! {
    /// The client's timers.
    enum Timer {
        /// Connect to the ring again.
        Reconnect => "chatter-reconnect",
        /// Say something.
        Speak => "chatter-speak",
    }
}

const RECONNECT: Duration = Duration::from_millis(200);
const OUTBOX: usize = 32;
/// No keeper's message begins so.
const MARK: u8 = 0xff;

/// The client.
#[derive(Debug)]
pub(crate) struct Chatter {
    mean_ms: u64,
    rng: Rng,
    conn: Conn,
    connected: bool,
    blocked: bool,
    ring: Option<RingId>,
    timers: TimerTable<Timer>,
    last_timer: Option<Timer>,
    out: Outbox<Output<NoJob>>,
}

impl Chatter {
    pub(crate) fn new(now: Now, mean_ms: u64, seed: u64) -> Self {
        let mut chatter = Self {
            mean_ms,
            rng: Rng::new(seed),
            conn: Conn(1),
            connected: false,
            blocked: false,
            ring: None,
            timers: TimerTable::new(),
            last_timer: None,
            out: Outbox::with_bound(OUTBOX),
        };
        chatter.out.push(Output::Ready);
        chatter.connect();
        chatter.arm(now.mono);
        chatter
    }

    fn connect(&mut self) {
        self.out.push(Output::Connect { conn: self.conn, service: ring::SERVICE.into() });
    }

    fn arm(&mut self, now: Mono) {
        let ms = self.rng.range(1, self.mean_ms * 2);
        self.timers.arm(Timer::Speak, now + Duration::from_millis(ms));
    }

    fn request(&mut self, id: i32, body: Vec<u8>) {
        let frame = Frame { channel: Channel::Request, id, error: 0, body };
        self.out.push(Output::Frame { conn: self.conn, frame });
    }

    /// Says up to a few things at once, so that messages of several nodes cross.
    fn speak(&mut self, now: Mono) {
        self.arm(now);
        let Some(ring) = self.ring.filter(|_| self.connected && !self.blocked) else { return };
        for _ in 0..self.rng.range(1, 4) {
            let padding = usize::try_from(self.rng.below(64)).unwrap_or(0);
            let mut w = Writer::new();
            w.u8(MARK).u64(ring.seq).u32(ring.rep.0).raw(&vec![0; padding]);
            self.request(MCAST, ipc::encode_mcast(ring, &w.finish()));
        }
    }

    fn event(&mut self, frame: &Frame) {
        match frame.id {
            VIEW => self.ring = ViewEvent::decode(&frame.body).ok().map(|view| view.ring),
            DELIVER => {
                let event = DeliverEvent::decode(&frame.body).expect("the ring sends its events");
                if let Some(meant) = meant_for(&event.bytes) {
                    assert_eq!(meant, event.ring, "a message was delivered in another ring");
                }
            }
            _ => {}
        }
    }
}

/// The ring that a message of a client of this kind was meant for.
fn meant_for(bytes: &[u8]) -> Option<RingId> {
    let mut r = Reader::new(bytes);
    let ours = r.u8("a mark").ok()? == MARK;
    let seq = r.u64("a sequence").ok()?;
    let rep = Node(r.u32("a representative").ok()?);
    ours.then_some(RingId { seq, rep })
}

impl Core for Chatter {
    type Input = Input<NoJob>;
    type Output = Output<NoJob>;

    fn handle(&mut self, now: Now, input: Self::Input) {
        match input {
            Input::Connected { .. } => {
                self.connected = true;
                self.request(TRACK, Vec::new());
            }
            Input::Closed { .. } => {
                self.connected = false;
                self.blocked = false;
                self.ring = None;
                self.conn = Conn(self.conn.0 + 1);
                self.timers.arm(Timer::Reconnect, now.mono + RECONNECT);
            }
            Input::Frame { frame, .. } if frame.channel == Channel::Event => self.event(&frame),
            Input::Blocked(_) => self.blocked = true,
            Input::Writable(_) => self.blocked = false,
            Input::Stop => self.out.push(Output::Exit { code: 0 }),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let timer = self.timers.pop_due(now.mono);
        self.last_timer = timer;
        match timer {
            Some(Timer::Reconnect) => self.connect(),
            Some(Timer::Speak) => self.speak(now.mono),
            None => {}
        }
    }

    fn poll_output(&mut self) -> Option<Self::Output> {
        self.out.pop()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }
}

impl Recorded for Chatter {
    fn redact(input: &Self::Input, _: &mut Secrets) -> Record {
        edge::record(input, |outcome| match *outcome {})
    }

    fn restore(
        kind: &str,
        body: &[u8],
        elided: Option<Elided>,
    ) -> Result<Self::Input, RecordError> {
        if elided.is_some() {
            return Err(RecordError::Elided);
        }
        edge::restore(kind, body, |_| Err(RecordError::UnknownKind("job outcome".into())))
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }

    fn resume(_: &[u8]) -> Result<Self, RecordError> {
        Err(RecordError::UnknownKind("snapshot".into()))
    }
}

impl edge::Daemon for Chatter {
    type Jobs = NoJob;
}

impl Inspect for Chatter {
    fn states() -> &'static [&'static str] {
        &["apart", "connected", "in-a-ring"]
    }

    fn timers() -> Vec<&'static str> {
        Timer::ALL.iter().map(|timer| timer.name()).collect()
    }

    fn state(&self) -> &'static str {
        match (self.connected, self.ring) {
            (false, _) => "apart",
            (true, None) => "connected",
            (true, Some(_)) => "in-a-ring",
        }
    }

    fn last_timer(&self) -> Option<&'static str> {
        self.last_timer.map(TimerId::name)
    }
}
