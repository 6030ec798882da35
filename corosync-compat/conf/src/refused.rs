//! Why a configuration is not taken.

use std::fmt;

/// Which part refused it; decides the exit code and the words around the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line that cannot be read.
    Syntax,
    /// A value of the logging section.
    Logging,
    /// A value that makes no cluster.
    Totem,
    /// The same, where the reference prints the reason alone.
    Plain,
    /// The service votequorum does not start like this.
    Quorum,
    /// Corosync would run on it, we do not yet.
    NotBuilt,
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who refused it.
    pub kind: Kind,
    /// The file.
    pub file: String,
    /// The line, from 1, where one can be blamed.
    pub line: Option<u32>,
    /// Why, in the reference's words where it has some.
    pub reason: String,
}

impl Refused {
    /// What the reference prints, without what we add to it.
    pub fn reference_text(&self) -> String {
        let Self { file, reason, .. } = self;
        match self.kind {
            Kind::Syntax => format!("parser error: {file}:{}: {reason}", self.line.unwrap_or(0)),
            Kind::Logging => format!("parse error in config: {reason}."),
            Kind::Totem => format!("parse error in config: {reason}"),
            Kind::Plain | Kind::Quorum | Kind::NotBuilt => reason.clone(),
        }
    }

    /// The exit code of the daemon that was started with it.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Logging => 7,
            Kind::Syntax | Kind::Totem | Kind::Plain | Kind::NotBuilt => 8,
            Kind::Quorum => 20,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference_text())?;
        match (self.kind, self.line) {
            (Kind::Syntax, _) => Ok(()),
            (_, Some(line)) => write!(f, " ({}:{line})", self.file),
            (_, None) => write!(f, " ({})", self.file),
        }
    }
}

impl std::error::Error for Refused {}
