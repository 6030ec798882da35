//! From steps to keys: what each section makes of its lines.
//!
//! A section that is not known inherits the meaning of the one around it, as in
//! the reference [CONF-2].

use cmap::{Type, Value, name};

use crate::grammar::{self, Step, What};
use crate::legacy::Service;
use crate::{Host, Keys, Kind, Refused, number};

mod collect;
mod item;

use collect::{Interface, Subsystem};

/// A file's name and contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its name, for messages.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// Everything that makes up a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// corosync.conf.
    pub main: Text,
    /// The regular files of uidgid.d beside it.
    pub uidgid: Vec<Text>,
    /// The regular files of service.d beside it, which only 1.x read.
    pub service: Vec<Text>,
}

impl Files {
    /// corosync.conf alone.
    pub fn main(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let main = Text { name: name.into(), bytes: bytes.into() };
        Self { main, uidgid: Vec::new(), service: Vec::new() }
    }
}

/// What the texts say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The main file's name.
    pub file: String,
    /// The keys as the reference stores them before it computes anything.
    pub keys: Keys,
    /// Keys that nobody reads, with their lines; they stand in `keys` too.
    pub unknown: Vec<(String, u32)>,
    /// The plugins of 1.x that the files name.
    pub services: Vec<Service>,
    /// Whether there is a quorum section, be it empty.
    pub has_quorum_section: bool,
    /// Whether there is a node in a nodelist.
    pub has_nodelist: bool,
    /// Links above 0 of a file of 1.x: redundant rings, which are not kept.
    pub dropped_rings: Vec<u8>,
}

impl Document {
    /// An error at the line that set `key`.
    pub(crate) fn refuse(&self, kind: Kind, key: &str, reason: impl Into<String>) -> Refused {
        let line = self.keys.line(key);
        Refused { kind, file: self.file.clone(), line, reason: reason.into() }
    }

    /// The one warning about keys that nobody reads.
    pub fn unknown_warning(&self) -> Option<String> {
        let listed = self.unknown.iter().map(|(key, line)| format!("{key} (line {line})"));
        let listed = listed.collect::<Vec<_>>().join(", ");
        let file = &self.file;
        (!listed.is_empty())
            .then(|| format!("{file}: keys that mean nothing to corosync: {listed}"))
    }
}

/// Reads the texts. Names of users and groups are looked up in `host`.
pub fn read(files: &Files, host: &Host) -> Result<Document, Refused> {
    let mut reader = Reader::new(&files.main, host);
    reader.run(&files.main.bytes)?;
    for text in &files.uidgid {
        reader.uidgid_file(text)?;
    }
    let mut document = reader.document;
    for text in &files.service {
        let (steps, bad) = grammar::steps(&text.bytes);
        if let Some(bad) = bad {
            let reason = bad.reason.to_owned();
            let (file, line) = (text.name.clone(), Some(bad.line));
            return Err(Refused { kind: Kind::Syntax, file, line, reason });
        }
        document.services.extend(Service::all(&steps));
    }
    Ok(document)
}

/// What the lines of a section mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Other,
    Totem,
    Interface,
    Member,
    LoggerSubsys,
    LoggingDaemon,
    Uidgid,
    Quorum,
    Device,
    Node,
    System,
    Resources,
    ResourcesPolled,
}

impl Section {
    fn of(path: &str, around: Self) -> Self {
        match path {
            "totem" => Self::Totem,
            "totem.interface" => Self::Interface,
            "totem.interface.member" => Self::Member,
            "logging.logger_subsys" => Self::LoggerSubsys,
            "logging.logging_daemon" => Self::LoggingDaemon,
            "uidgid" => Self::Uidgid,
            "quorum" => Self::Quorum,
            "quorum.device" => Self::Device,
            "nodelist" => Self::Other,
            "nodelist.node" => Self::Node,
            "system" => Self::System,
            "resources" => Self::Resources,
            "resources.system"
            | "resources.system.memory_used"
            | "resources.process"
            | "resources.process.memory_used" => Self::ResourcesPolled,
            _ => around,
        }
    }
}

/// Why a line is refused; the place is added by who knows it.
type Reason = String;

struct Reader<'a> {
    host: &'a Host,
    document: Document,
    /// The sections that are open.
    open: Vec<Section>,
    line: u32,
    node_number: u32,
    interface: Interface,
    subsystem: Subsystem,
    /// Without a nodelist, interfaces are numbered as in 1.x.
    rings_are_numbered: bool,
}

impl<'a> Reader<'a> {
    fn new(main: &Text, host: &'a Host) -> Self {
        let document = Document {
            file: main.name.clone(),
            keys: Keys::default(),
            unknown: Vec::new(),
            services: Vec::new(),
            has_quorum_section: false,
            has_nodelist: false,
            dropped_rings: Vec::new(),
        };
        Self {
            host,
            document,
            open: Vec::new(),
            line: 0,
            node_number: 0,
            interface: Interface::default(),
            subsystem: Subsystem::default(),
            rings_are_numbered: false,
        }
    }

    fn run(&mut self, text: &[u8]) -> Result<(), Refused> {
        let (steps, bad) = grammar::steps(text);
        let opens = |wanted: &str| {
            steps.iter().any(|s| matches!(&s.what, What::Open { path } if path == wanted))
        };
        self.document.has_nodelist = opens("nodelist.node");
        self.document.has_quorum_section = opens("quorum");
        self.document.services = Service::all(&steps);
        self.rings_are_numbered = !self.document.has_nodelist;
        for step in steps {
            self.line = step.line;
            self.step(step).map_err(|reason| self.refused(reason))?;
        }
        bad.map_or(Ok(()), |bad| {
            self.line = bad.line;
            Err(self.refused(bad.reason.to_owned()))
        })
    }

    fn refused(&self, reason: Reason) -> Refused {
        let (file, line) = (self.document.file.clone(), Some(self.line));
        Refused { kind: Kind::Syntax, file, line, reason }
    }

    fn step(&mut self, step: Step) -> Result<(), Reason> {
        let around = self.open.last().copied().unwrap_or(Section::Other);
        match step.what {
            What::Open { path } => {
                let section = Section::of(&path, around);
                self.open.push(section);
                self.begin(&path);
                Ok(())
            }
            What::Close { .. } => {
                self.open.pop();
                self.end(around)
            }
            What::Item { path, key, value } => self.item(around, &path, &key, &value),
        }
    }

    fn begin(&mut self, path: &str) {
        match path {
            "totem.interface" => self.interface.begin(),
            "logging.logger_subsys" | "logging.logging_daemon" => {
                self.subsystem = Subsystem::default();
            }
            "nodelist" => self.node_number = 0,
            _ => {}
        }
    }

    fn end(&mut self, section: Section) -> Result<(), Reason> {
        match section {
            Section::Interface => self.end_interface(),
            Section::LoggerSubsys => {
                let entries = self.subsystem.logger_subsys()?;
                self.put_all(entries)
            }
            Section::LoggingDaemon => {
                let entries = self.subsystem.logging_daemon()?;
                self.put_all(entries)
            }
            Section::Node => {
                self.node_number += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A file of 1.x numbers its rings; 3.x has only link 0 without knet, so
    /// the others are left out, and who starts the daemon is told.
    fn end_interface(&mut self) -> Result<(), Reason> {
        let ring = self.interface.ring_number();
        if self.rings_are_numbered && ring > 0 {
            self.document.dropped_rings.push(ring);
            self.interface = Interface::default();
            return Ok(());
        }
        let entries = self.interface.entries();
        self.put_all(entries)
    }

    fn put_all(&mut self, entries: Vec<(String, Value, u32)>) -> Result<(), Reason> {
        entries.into_iter().try_for_each(|(key, value, line)| self.put(key, value, line))
    }

    fn put(&mut self, key: String, value: Value, line: u32) -> Result<(), Reason> {
        if !name::is_valid(&key) {
            let status = cmap::Status::NameTooLong;
            return Err(format!(
                "Can't store key \"{key}\" into icmap, returned error is {status}"
            ));
        }
        self.document.keys.put(key, value, line);
        Ok(())
    }

    fn put_text(&mut self, path: &str, value: &[u8]) -> Result<(), Reason> {
        self.put(path.to_owned(), Value::text(value), self.line)
    }

    fn put_number(&mut self, path: &str, value: &[u8], kind: Type) -> Result<(), Reason> {
        let number = integer(path, value, kind)?;
        self.put(path.to_owned(), number, self.line)
    }

    fn note_unknown(&mut self, path: &str) {
        self.document.unknown.push((path.to_owned(), self.line));
    }

    fn uidgid_file(&mut self, text: &Text) -> Result<(), Refused> {
        let (steps, bad) = grammar::steps(&text.bytes);
        let refuse = |line, reason| Refused {
            kind: Kind::Syntax,
            file: text.name.clone(),
            line: Some(line),
            reason,
        };
        for step in steps {
            self.line = step.line;
            self.uidgid_step(&step.what).map_err(|reason| refuse(step.line, reason))?;
        }
        bad.map_or(Ok(()), |bad| Err(refuse(bad.line, bad.reason.to_owned())))
    }

    fn uidgid_step(&mut self, what: &What) -> Result<(), Reason> {
        match what {
            What::Open { path } if path != "uidgid" => {
                Err("uidgid: Can't add subsection different than uidgid".to_owned())
            }
            What::Item { path, key, value }
                if path.strip_suffix(key.as_str()) == Some("uidgid.") =>
            {
                self.uidgid_item(key, value)
            }
            What::Item { .. } => Err(item::UIDGID_ONLY.to_owned()),
            What::Open { .. } | What::Close { .. } => Ok(()),
        }
    }
}

/// Reads a number or says, in the reference's words, which would do.
fn integer(key: &str, text: &[u8], kind: Type) -> Result<Value, Reason> {
    number::integer(text, kind).ok_or_else(|| {
        let (least, most) = number::range(kind);
        let text = String::from_utf8_lossy(text);
        format!(
            "Value of key \"{key}\" is expected to be integer in range ({least}..{most}), \
             but \"{text}\" was given"
        )
    })
}

#[cfg(test)]
mod tests;
