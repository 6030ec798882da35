//! The forms of a log line.

use std::fmt::Write;

use sansio::Wall;
use sansio::edge::Level;

use crate::clock::{self, Civil};

/// How lines look in files, on standard error and in syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Pacemaker's: `Nov 21 09:00:00.123 host daemon [pid] (part) level: text`.
    #[default]
    Detail,
    /// Corosync's: `Nov 21 09:00:00 [pid] host daemon level [PART  ] text`.
    Corosync(Timestamp),
}

/// What Corosync's form begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamp {
    /// Nothing.
    None,
    /// The time to the second.
    Seconds,
    /// The time to the millisecond.
    #[default]
    Milliseconds,
}

/// Who speaks: the same for all lines of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) host: String,
    pub(crate) daemon: String,
    pub(crate) pid: u32,
    pub(crate) form: Form,
}

/// One thing said, on its way to the sinks.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: Level,
    at: Civil,
    target: String,
    text: String,
}

/// Longer texts are cut: a log line is for people.
const TEXT_MAX: usize = 8192;

impl Line {
    pub(crate) fn now(level: Level, target: &str, text: &str) -> Self {
        let wall = clock::wall();
        Self::at(
            wall,
            crate::sys::utc_offset_s(wall.0.div_euclid(1_000_000_000)),
            level,
            target,
            text,
        )
    }

    pub(crate) fn at(
        wall: Wall,
        utc_offset_s: i32,
        level: Level,
        target: &str,
        text: &str,
    ) -> Self {
        let target = target.rsplit("::").next().unwrap_or(target).to_string();
        Self { level, at: Civil::at(wall, utc_offset_s), target, text: printable(text) }
    }

    /// What was said.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `Nov 21 09:00:00.123 host daemon [pid] (target) level: text`
    pub(crate) fn detail(&self, origin: &Origin) -> String {
        if let Form::Corosync(timestamp) = origin.form {
            return self.corosync(origin, timestamp);
        }
        let Civil { month, day, hour, minute, second, millisecond } = self.at;
        let Origin { host, daemon, pid, .. } = origin;
        let (target, level, text) = (&self.target, level_name(self.level), &self.text);
        format!(
            "{month} {day:02} {hour:02}:{minute:02}:{second:02}.{millisecond:03} {host} {daemon} [{pid}] ({target}) {level}: {text}\n"
        )
    }

    fn corosync(&self, origin: &Origin, timestamp: Timestamp) -> String {
        let Civil { month, day, hour, minute, second, millisecond } = self.at;
        let time = match timestamp {
            Timestamp::None => String::new(),
            Timestamp::Seconds => format!("{month} {day:02} {hour:02}:{minute:02}:{second:02} "),
            Timestamp::Milliseconds => {
                format!("{month} {day:02} {hour:02}:{minute:02}:{second:02}.{millisecond:03} ")
            }
        };
        let Origin { host, daemon, pid, .. } = origin;
        let (level, part, text) = (level_name(self.level), self.part(), &self.text);
        format!("{time}[{pid}] {host} {daemon} {level:<7} [{part:<6}] {text}\n")
    }

    /// Corosync's parts have capital letters; the driver's modules are its main part.
    fn part(&self) -> &str {
        let is_named = self.target.chars().all(|c| c.is_ascii_uppercase());
        if is_named { &self.target } else { "MAIN" }
    }

    /// `<PRI>Nov 21 09:00:00 daemon[pid]: level: text`, as RFC 3164 senders on
    /// the machine itself write it: without the host.
    pub(crate) fn syslog(&self, origin: &Origin, facility: u8) -> String {
        let Civil { month, day, hour, minute, second, .. } = self.at;
        let priority = u32::from(facility) * 8 + severity(self.level);
        let (daemon, pid, level, text) =
            (&origin.daemon, origin.pid, level_name(self.level), &self.text);
        if let Form::Corosync(_) = origin.form {
            let part = self.part();
            return format!(
                "<{priority}>{month} {day:>2} {hour:02}:{minute:02}:{second:02} {daemon}[{pid}]:   [{part:<6}] {text}"
            );
        }
        format!(
            "<{priority}>{month} {day:>2} {hour:02}:{minute:02}:{second:02} {daemon}[{pid}]: {level}: {text}"
        )
    }

    /// The journal's fields, one per line; the text has no line breaks (see [`printable`]).
    pub(crate) fn journal(&self, origin: &Origin) -> String {
        let (severity, daemon, pid) = (severity(self.level), &origin.daemon, origin.pid);
        format!(
            "PRIORITY={severity}\nSYSLOG_IDENTIFIER={daemon}\nSYSLOG_PID={pid}\nSYSTOLE_TARGET={}\nMESSAGE={}\n",
            self.target, self.text
        )
    }
}

/// Nobody who is quoted in a line can end it and begin one of his own.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        if out.len() >= TEXT_MAX {
            out.push_str("...");
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            c if c.is_control() && c != '\t' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Syslog's numbers; it has nothing below debug.
fn severity(level: Level) -> u32 {
    match level {
        Level::Error => 3,
        Level::Warning => 4,
        Level::Notice => 5,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::at(Wall(1_795_251_600_123_000_000), 3600, Level::Notice, "host::drive", text)
    }

    fn origin() -> Origin {
        Origin { host: "alpha".into(), daemon: "corosync".into(), pid: 42, form: Form::Detail }
    }

    #[test]
    fn forms() {
        assert_eq!(
            line("A ring").detail(&origin()),
            "Nov 21 10:00:00.123 alpha corosync [42] (drive) notice: A ring\n"
        );
        assert_eq!(
            line("A ring").syslog(&origin(), 3),
            "<29>Nov 21 10:00:00 corosync[42]: notice: A ring"
        );
        let journal = line("A ring").journal(&origin());
        assert!(journal.starts_with("PRIORITY=5\n") && journal.ends_with("MESSAGE=A ring\n"));
    }

    #[test]
    fn corosync_s_form_names_the_part() {
        let form = Form::Corosync(Timestamp::Milliseconds);
        let origin = Origin { form, ..origin() };
        assert_eq!(
            line("A ring").detail(&origin),
            "Nov 21 10:00:00.123 [42] alpha corosync notice  [MAIN  ] A ring\n"
        );
        let wall = Wall(1_795_251_600_123_000_000);
        let of_ring = Line::at(wall, 3600, Level::Info, "TOTEM", "A ring");
        let seconds = Origin { form: Form::Corosync(Timestamp::Seconds), ..origin };
        assert_eq!(
            of_ring.detail(&seconds),
            "Nov 21 10:00:00 [42] alpha corosync info    [TOTEM ] A ring\n"
        );
        assert_eq!(
            of_ring.syslog(&seconds, 3),
            "<30>Nov 21 10:00:00 corosync[42]:   [TOTEM ] A ring"
        );
    }

    #[test]
    fn what_is_quoted_cannot_forge_a_line() {
        let forged = line("x\nNov 21 09:00:00 error: all is lost\u{1b}[2J").detail(&origin());
        assert_eq!(forged.matches('\n').count(), 1);
        assert!(!forged.contains('\u{1b}'));
        assert!(line(&"y".repeat(100_000)).detail(&origin()).len() < TEXT_MAX + 100);
    }
}
