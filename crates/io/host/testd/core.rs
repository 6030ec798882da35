//! The driver's test core: does what datagrams tell it and tells what happens.
//!
//! One timer ticks with a fixed period and keeps the worst lateness. A datagram
//! is a command in words (see [`Tester::command`]); everything else that
//! happens is reported in words to whoever commanded last. It sleeps when told,
//! which no real core may: so a test can make the loop late.

use std::net::SocketAddr;
use std::time::Duration;

use sansio::edge::{
    self, Channel, Child, ChildEvent, Conn, Daemon, Frame, Input, Level, Link, Output, PersistId,
    Spawn,
};
use sansio::{
    Cancel, Core, Elided, Job, JobId, Mono, Now, Outbox, Record, RecordError, Recorded, Secrets,
};
use wire::{Reader, Writer};

/// What a tester is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Milliseconds between ticks; 0: no timer.
    pub(crate) period_ms: u64,
    /// Log lines at each tick.
    pub(crate) lines: u32,
    /// See [`Core::pause_limit`]; 0: none.
    pub(crate) pause_limit_ms: u64,
    /// Whether it goes on when it is asked to stop.
    pub(crate) stubborn: bool,
    /// Bytes of padding in a snapshot; [`u32::MAX`]: no snapshots.
    pub(crate) snapshot_padding: u32,
}

impl Setup {
    /// For the recorder's header.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u64(self.period_ms).u32(self.lines).u64(self.pause_limit_ms).u8(self.stubborn.into());
        w.u32(self.snapshot_padding);
        w.finish()
    }

    /// From the recorder's header.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            period_ms: r.u64("a period")?,
            lines: r.u32("lines")?,
            pause_limit_ms: r.u64("a limit")?,
            stubborn: r.u8("whether it is stubborn")? != 0,
            snapshot_padding: r.u32("padding")?,
        })
    }
}

/// Slow work for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Counts milliseconds until it has enough or is cancelled.
    Count(u64),
    /// Panics.
    Panic,
}

impl Job for Work {
    type Outcome = u64;

    fn kind(&self) -> &'static str {
        match self {
            Work::Count(_) => "count",
            Work::Panic => "panic",
        }
    }

    fn run(&self, cancel: &Cancel<'_>) -> u64 {
        let Work::Count(ms) = self else { panic!("as asked") };
        for counted in 0..*ms {
            if cancel.is_cancelled() {
                return counted;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        *ms
    }
}

/// The test core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tester {
    setup: Setup,
    next_tick: Option<Mono>,
    ticks: u64,
    worst_late: Duration,
    inputs: u64,
    commander: Option<SocketAddr>,
    out: Outbox<Output<Work>>,
}

impl Tester {
    /// A tester that has just come up.
    pub(crate) fn new(now: Now, setup: Setup) -> Self {
        let period = Duration::from_millis(setup.period_ms);
        let mut out = Outbox::with_bound(1 << 20);
        out.push(Output::Ready);
        Self {
            next_tick: (setup.period_ms > 0).then_some(now.mono + period),
            setup,
            ticks: 0,
            worst_late: Duration::ZERO,
            inputs: 0,
            commander: None,
            out,
        }
    }

    fn tell(&mut self, text: String) {
        if let Some(to) = self.commander {
            self.out.push(Output::Send { link: Link(0), to, bytes: text.into_bytes() });
        }
    }

    /// `VERB ARGUMENT...`; an unknown verb is echoed.
    fn command(&mut self, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
        match words[0] {
            "stats" => {
                let (ticks, late) = (self.ticks, self.worst_late.as_micros());
                self.tell(format!("stats {ticks} {late} {}", self.inputs));
            }
            "sleep" => std::thread::sleep(Duration::from_millis(number(1))),
            // spawn CHILD TIMEOUT_MS STDOUT_MAX STDIN PROGRAM ARGUMENT...
            "spawn" if words.len() > 5 => self.out.push(Output::Spawn(Spawn {
                child: Child(number(1)),
                timeout_ms: number(2),
                stdout_max: u32::try_from(number(3)).unwrap_or(u32::MAX),
                stdin: words[4].replace('-', "").into_bytes(),
                program: words[5].into(),
                args: words[6..].iter().map(|word| word.replace('\u{a0}', " ")).collect(),
                env: vec![("TESTER".into(), "yes".into())],
            })),
            "kill" => self.out.push(Output::Kill(Child(number(1)))),
            "persist" => {
                let id = PersistId(number(1));
                let size = usize::try_from(number(3)).unwrap_or(0);
                self.out.push(Output::Persist {
                    id,
                    name: words[2].into(),
                    bytes: vec![b'x'; size],
                });
            }
            "count" => {
                self.out.push(Output::Job { id: JobId(number(1)), job: Work::Count(number(2)) });
            }
            "panic-job" => self.out.push(Output::Job { id: JobId(number(1)), job: Work::Panic }),
            "panic" => panic!("as asked"),
            "cancel" => self.out.push(Output::CancelJob(JobId(number(1)))),
            "log" => self.log_lines(number(1)),
            "debug" => self.say(Level::Debug, text.into()),
            "send" => {
                for n in 0..number(1) {
                    self.tell(format!("{n}"));
                }
            }
            "exit" => self.out.push(Output::Exit { code: u8::try_from(number(1)).unwrap_or(1) }),
            "connect" => {
                let service = words.get(2).copied().unwrap_or_default().to_string();
                self.out.push(Output::Connect { conn: Conn(number(1)), service });
            }
            "request" => self.frame(Channel::Request, Conn(number(1)), number(2), number(3)),
            "event" => self.frame(Channel::Event, Conn(number(1)), number(2), number(3)),
            "events" => {
                for n in 0..number(2) {
                    self.frame(Channel::Event, Conn(number(1)), n, number(3));
                }
            }
            "flow" => {
                let level = u8::try_from(number(2)).unwrap_or(0);
                self.out.push(Output::FlowControl { conn: Conn(number(1)), level });
            }
            "close" => {
                self.out.push(Output::Close { conn: Conn(number(1)), why: "as asked".into() });
            }
            "mark" => {
                let event = observe::Event::Mark { text: text.into() };
                self.out.push(Output::Observe(event));
            }
            _ => self.tell(text.to_string()),
        }
    }

    fn frame(&mut self, channel: Channel, conn: Conn, id: u64, len: u64) {
        let body = vec![b'b'; usize::try_from(len).unwrap_or(0)];
        let frame = Frame { channel, id: i32::try_from(id).unwrap_or(0), error: 0, body };
        self.out.push(Output::Frame { conn, frame });
    }

    fn say(&mut self, level: Level, text: String) {
        self.out.push(Output::Log { part: "core", level, text });
    }

    fn log_lines(&mut self, count: u64) {
        for n in 0..count {
            let text = format!("line {n} of tick {} {}", self.ticks, "=".repeat(100));
            self.say(Level::Info, text);
        }
    }

    fn child(&mut self, child: Child, event: &ChildEvent) {
        let number = child.0;
        self.tell(match event {
            ChildEvent::SpawnFailed { errno } => format!("child {number} failed {errno}"),
            ChildEvent::Exited { code, stdout } => {
                format!("child {number} exited {code} {}", String::from_utf8_lossy(stdout))
            }
            ChildEvent::Signalled { signal } => format!("child {number} signalled {signal}"),
            ChildEvent::TimedOut => format!("child {number} timed-out"),
        });
    }

    /// Requests are answered with their own body.
    fn framed(&mut self, conn: Conn, frame: &Frame) {
        let (channel, id, len) = (frame.channel, frame.id, frame.body.len());
        self.tell(format!("frame {} {channel:?} {id} {len}", conn.0));
        if channel == Channel::Request {
            let answer = Frame { channel: Channel::Response, ..frame.clone() };
            self.out.push(Output::Frame { conn, frame: answer });
        }
    }
}

impl Core for Tester {
    type Input = Input<u64>;
    type Output = Output<Work>;

    fn handle(&mut self, now: Now, input: Self::Input) {
        self.inputs += 1;
        match input {
            Input::Datagram { from, bytes, .. } => {
                self.commander = Some(from);
                self.command(&String::from_utf8_lossy(&bytes));
            }
            Input::Child { child, event } => self.child(child, &event),
            Input::Frame { conn, frame } => self.framed(conn, &frame),
            Input::Accepted { conn, service, peer } => {
                self.tell(format!("accepted {} {service} {}", conn.0, peer.uid));
            }
            Input::Connected { conn, peer } => {
                self.tell(format!("connected {} {}", conn.0, peer.uid));
            }
            Input::Closed { conn, why } => self.tell(format!("closed {} {why}", conn.0)),
            Input::Blocked(conn) => self.tell(format!("blocked {}", conn.0)),
            Input::Writable(conn) => self.tell(format!("writable {}", conn.0)),
            Input::Persisted(id) => self.tell(format!("persisted {}", id.0)),
            Input::PersistFailed { id, errno } => {
                self.tell(format!("unpersisted {} {errno}", id.0));
            }
            Input::JobDone { id, outcome } => self.tell(format!("job {} done {outcome}", id.0)),
            Input::JobFailed { id, why } => self.tell(format!("job {} failed {why}", id.0)),
            Input::Paused { ms } => {
                let due = self.next_tick.is_some_and(|at| at <= now.mono);
                self.tell(format!("paused {ms} {}", if due { "early" } else { "ticked" }));
            }
            Input::ConfigRead(read) => self.tell(format!("config {read:?}")),
            Input::Reload => self.tell("reload".into()),
            Input::Stop => {
                self.tell("stop".into());
                if !self.setup.stubborn {
                    self.out.push(Output::Exit { code: 0 });
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let Some(due) = self.next_tick.filter(|due| *due <= now.mono) else { return };
        self.ticks += 1;
        self.worst_late = self.worst_late.max(now.mono - due);
        self.next_tick = Some(now.mono + Duration::from_millis(self.setup.period_ms));
        self.log_lines(self.setup.lines.into());
    }

    fn poll_output(&mut self) -> Option<Self::Output> {
        self.out.pop()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next_tick
    }

    fn pause_limit(&self) -> Option<Duration> {
        let limit = self.setup.pause_limit_ms;
        (limit > 0).then(|| Duration::from_millis(limit))
    }
}

impl Recorded for Tester {
    /// A datagram that begins with `secret ` is one: only its number is kept.
    fn redact(input: &Input<u64>, secrets: &mut Secrets) -> Record {
        if let Input::Datagram { link, from, bytes } = input
            && let Some(secret) = bytes.strip_prefix(b"secret ")
        {
            let bytes = format!("secret number {}", secrets.number(secret)).into_bytes();
            let input = Input::<u64>::Datagram { link: *link, from: *from, bytes };
            return edge::record(&input, |_| Vec::new());
        }
        edge::record(input, |outcome| outcome.to_le_bytes().to_vec())
    }

    fn restore(kind: &str, body: &[u8], elided: Option<Elided>) -> Result<Input<u64>, RecordError> {
        if elided.is_some() {
            return Err(RecordError::Elided);
        }
        edge::restore(kind, body, |bytes| Ok(Reader::new(bytes).u64("an outcome")?))
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        if self.setup.snapshot_padding == u32::MAX || !self.out.is_empty() {
            return None;
        }
        let mut w = Writer::new();
        let commander = self.commander.map_or(String::new(), |to| to.to_string());
        w.blob(&self.setup.encode()).u64(self.next_tick.map_or(0, |at| at.0)).u64(self.ticks);
        w.u64(u64::try_from(self.worst_late.as_nanos()).ok()?).u64(self.inputs).text(&commander);
        w.blob(&vec![0; self.setup.snapshot_padding as usize]);
        Some(w.finish())
    }

    fn resume(snapshot: &[u8]) -> Result<Self, RecordError> {
        let mut r = Reader::new(snapshot);
        let setup = Setup::decode(&mut Reader::new(r.blob(100, "a setup")?))?;
        let next_tick = Some(Mono(r.u64("a tick")?)).filter(|at| at.0 > 0);
        let mut tester = Self::new(Now::default(), setup);
        tester.out.pop();
        tester.next_tick = next_tick;
        tester.ticks = r.u64("ticks")?;
        tester.worst_late = Duration::from_nanos(r.u64("lateness")?);
        tester.inputs = r.u64("inputs")?;
        tester.commander = r.text(100, "an address")?.parse().ok();
        Ok(tester)
    }
}

impl Daemon for Tester {
    type Jobs = Work;
}
