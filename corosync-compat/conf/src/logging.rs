//! The logging section.

use std::collections::BTreeMap;

use crate::schema::Document;
use crate::{Kind, Refused};

/// How important a message is, as syslog counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The system is unusable.
    Emergency,
    /// Somebody must act now.
    Alert,
    /// Critical.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal but worth knowing.
    Notice,
    /// Information.
    Info,
    /// For who looks for a mistake.
    Debug,
    /// Nothing is logged, or all: what syslog calls none.
    None,
}

/// What a subsystem says beyond its priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Debug {
    /// Nothing more.
    #[default]
    Off,
    /// Debug messages.
    On,
    /// These, and every function entered.
    Trace,
}

/// What stands before a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamp {
    /// Nothing.
    Off,
    /// The time to the second.
    On,
    /// The time to the millisecond.
    #[default]
    HighResolution,
}

/// Where messages go and which; None: as the logger above has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logger {
    /// To standard error.
    pub to_stderr: Option<bool>,
    /// To a file.
    pub to_logfile: Option<bool>,
    /// To syslog.
    pub to_syslog: Option<bool>,
    /// The file.
    pub logfile: Option<String>,
    /// What goes to the file.
    pub logfile_priority: Option<Priority>,
    /// syslog's facility.
    pub syslog_facility: Option<String>,
    /// What goes to syslog.
    pub syslog_priority: Option<Priority>,
    /// Beyond these priorities.
    pub debug: Debug,
}

/// The logging section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// Whether messages name their file and line.
    pub with_fileline: bool,
    /// Whether messages name their function.
    pub with_function: bool,
    /// The time before each message.
    pub timestamp: Timestamp,
    /// Whether the flight data are kept.
    pub blackbox: bool,
    /// The daemon.
    pub main: Logger,
    /// Its parts by name.
    pub subsystems: BTreeMap<String, Logger>,
}

const PRIORITIES: [(&str, Priority); 12] = [
    ("alert", Priority::Alert),
    ("crit", Priority::Critical),
    ("debug", Priority::Debug),
    ("emerg", Priority::Emergency),
    ("err", Priority::Error),
    ("error", Priority::Error),
    ("info", Priority::Info),
    ("none", Priority::None),
    ("notice", Priority::Notice),
    ("panic", Priority::Emergency),
    ("warn", Priority::Warning),
    ("warning", Priority::Warning),
];

const FACILITIES: [&str; 22] = [
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "mark", "news", "security",
    "syslog", "user", "uucp", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

impl Logging {
    /// Reads and checks the section.
    pub(crate) fn of(document: &Document) -> Result<Self, Refused> {
        let reader = Reader { document, section: "logging".to_owned() };
        let timestamp = match reader.text("timestamp") {
            None | Some("hires") => Timestamp::HighResolution,
            Some("on") => Timestamp::On,
            Some("off") => Timestamp::Off,
            Some(_) => return Err(reader.refuse("timestamp", "unknown value for timestamp")),
        };
        let mut logging = Self {
            with_fileline: reader.on_off("fileline")?.unwrap_or(false),
            with_function: reader.on_off("function_name")?.unwrap_or(false),
            timestamp,
            blackbox: reader.on_off("blackbox")?.unwrap_or(true),
            main: reader.logger()?,
            subsystems: BTreeMap::new(),
        };
        let main = &mut logging.main;
        main.to_stderr = main.to_stderr.or(Some(true));
        main.to_syslog = main.to_syslog.or(Some(true));
        main.to_logfile = main.to_logfile.or(Some(false));
        main.syslog_priority = main.syslog_priority.or(Some(Priority::Info));
        main.logfile_priority = main.logfile_priority.or(Some(Priority::Info));
        let prefix = "logging.logger_subsys.";
        for (key, _) in document.keys.with_prefix(prefix) {
            let Some((name, "subsys")) = key[prefix.len()..].split_once('.') else { continue };
            let reader = Reader { document, section: format!("{prefix}{name}") };
            logging.subsystems.insert(name.to_owned(), reader.logger()?);
        }
        Ok(logging)
    }
}

struct Reader<'a> {
    document: &'a Document,
    section: String,
}

impl Reader<'_> {
    fn logger(&self) -> Result<Logger, Refused> {
        let to_stderr = self.destination("to_stderr")?;
        let to_syslog = self.destination("to_syslog")?;
        let syslog_facility = self.facility()?;
        let old_level = self.priority("syslog_level", "unknown syslog level specified")?;
        let level = self.priority("syslog_priority", "unknown syslog priority specified")?;
        let to_file = self.destination("to_file")?;
        Ok(Logger {
            to_stderr,
            to_syslog,
            to_logfile: self.destination("to_logfile")?.or(to_file),
            logfile: self.text("logfile").map(str::to_owned),
            logfile_priority: {
                self.priority("logfile_priority", "unknown logfile priority specified")?
            },
            syslog_facility,
            syslog_priority: level.or(old_level),
            debug: match self.text("debug") {
                None | Some("off") => Debug::Off,
                Some("on") => Debug::On,
                Some("trace") => Debug::Trace,
                Some(_) => return Err(self.refuse("debug", "unknown value for debug")),
            },
        })
    }

    fn text(&self, key: &str) -> Option<&str> {
        let value = self.document.keys.value(&format!("{}.{key}", self.section))?;
        // What is no text is no known word either.
        Some(value.as_text().unwrap_or("?"))
    }

    fn on_off(&self, key: &str) -> Result<Option<bool>, Refused> {
        match self.text(key) {
            None => Ok(None),
            Some("on") => Ok(Some(true)),
            Some("off") => Ok(Some(false)),
            Some(_) => Err(self.refuse(key, &format!("unknown value for {key}"))),
        }
    }

    fn destination(&self, key: &str) -> Result<Option<bool>, Refused> {
        match self.text(key) {
            None => Ok(None),
            Some("yes" | "on") => Ok(Some(true)),
            Some("no" | "off") => Ok(Some(false)),
            Some(_) => Err(self.refuse(key, &format!("unknown value for {key}"))),
        }
    }

    fn priority(&self, key: &str, complaint: &str) -> Result<Option<Priority>, Refused> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let found = PRIORITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, priority)| Some(*priority)).ok_or_else(|| self.refuse(key, complaint))
    }

    fn facility(&self) -> Result<Option<String>, Refused> {
        let Some(text) = self.text("syslog_facility") else { return Ok(None) };
        if FACILITIES.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(Some(text.to_ascii_lowercase()));
        }
        Err(self.refuse("syslog_facility", "unknown syslog facility specified"))
    }

    fn refuse(&self, key: &str, reason: &str) -> Refused {
        self.document.refuse(Kind::Logging, &format!("{}.{key}", self.section), reason)
    }
}
