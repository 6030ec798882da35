//! The tests that may be skipped in CI, read from `tests/allowed-skips`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::run::Failure;

/// The tests on the list, as `PACKAGE TEST`.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowedSkips(BTreeSet<String>);

impl AllowedSkips {
    /// Reads the list.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure(format!("{}: {error}", path.display())))?;
        Ok(Self::parse(&text))
    }

    /// Whether a test stands on the list.
    pub(super) fn allows(&self, package: &str, test: &str) -> bool {
        self.0.contains(&format!("{package} {test}"))
    }

    /// Takes `PACKAGE TEST: reason` lines; tidy refuses those without a reason.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split_once(": ")).map(|(name, _)| name.to_owned());
        Self(names.collect())
    }
}
