//! `corosync -t`: what the test of a configuration prints and returns.

use crate::{Config, Refused};

/// The outcome of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What goes to standard error (and, in the reference, to the log), line by line.
    pub lines: Vec<String>,
    /// The exit code.
    pub exit_code: u8,
}

/// What is printed when all is well; the reference logs it as its last word.
pub const EXITING: &str = "Corosync Cluster Engine exiting normally";

impl Verdict {
    /// The verdict on a configuration.
    pub fn of(outcome: Result<&Config, &Refused>) -> Self {
        match outcome {
            Ok(config) => {
                let mut lines = config.warnings.clone();
                lines.push(EXITING.to_owned());
                Self { lines, exit_code: 0 }
            }
            Err(refused) => {
                let code = refused.exit_code();
                let exiting = format!("Corosync Cluster Engine exiting with status {code}");
                Self { lines: vec![refused.to_string(), exiting], exit_code: code }
            }
        }
    }
}
