//! Running test binaries and reading what they say.
//!
//! Passing tests are counted, not listed; failing ones are shown with all they
//! printed. A binary that says nothing for long is killed, so that one test that
//! hangs does not cost the rest of the run.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::binaries::Binary;
use super::counts_as_failed;
use super::report::Totals;
use super::skips::AllowedSkips;
use crate::lab::DIST_VARIABLE;
use crate::run::{Failure, capture, stream};
use crate::workspace::Workspace;

/// The longest silence of tests that run at the same time.
const SILENCE: Duration = Duration::from_secs(180);

/// The longest silence of tests that run one after the other: one test, which
/// may have to make an image of a system first.
const SILENCE_OF_ONE: Duration = Duration::from_secs(600);

/// How the tests of a binary are run.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// One test after the other, each shown when it ends.
    pub(super) one_at_a_time: bool,
    /// Only tests whose name contains this.
    pub(super) only: Option<&'static str>,
    /// No tests whose name contains this.
    pub(super) without: Option<&'static str>,
    /// The tree of `dist` that the tests may use.
    pub(super) tree: Option<PathBuf>,
}

/// Runs one binary.
///
/// # Errors
/// When it cannot be started.
pub(super) fn run(
    workspace: &Workspace,
    binary: &Binary,
    plan: &Plan,
    allowed: &AllowedSkips,
) -> Result<Totals, Failure> {
    let ignored = list(binary, plan, &["--ignored"])?;
    let all = list(binary, plan, &[])?;
    if all.is_empty() {
        return Ok(Totals::default());
    }
    let heading = format!("{} ({})", binary.package, binary.kind.name());
    let mut command = command(workspace, binary, plan);
    let start = Instant::now();
    let (status, transcript) = watch(&mut command, plan.one_at_a_time)?;
    let mut totals = transcript.totals(status, all.len());
    println!("    {heading}: {totals} in {:.1} s", start.elapsed().as_secs_f32());
    for test in &ignored {
        judge_skipped(&binary.package, test, allowed, &mut totals);
    }
    Ok(totals)
}

/// Runs the examples in documentation.
///
/// # Errors
/// When cargo cannot be started.
pub(super) fn run_doc_tests(
    workspace: &Workspace,
    allowed: &AllowedSkips,
) -> Result<Totals, Failure> {
    let mut command = workspace.cargo();
    command.args(["test", "--quiet", "--locked", "--workspace", "--doc", "--no-fail-fast"]);
    command.args(["--", "--format=pretty"]);
    let start = Instant::now();
    let (status, transcript) = watch(&mut command, false)?;
    let mut totals = transcript.totals(status, 0);
    println!("    examples: {totals} in {:.1} s", start.elapsed().as_secs_f32());
    for test in &transcript.ignored {
        judge_skipped("doc", test, allowed, &mut totals);
    }
    Ok(totals)
}

/// Says that a test was skipped, and counts it as failed where it had to run.
fn judge_skipped(package: &str, test: &str, allowed: &AllowedSkips, totals: &mut Totals) {
    let is_allowed = allowed.allows(package, test);
    if counts_as_failed(is_allowed) {
        totals.skipped -= 1;
        totals.failed += 1;
        println!("    FAILED: {package} {test} is skipped and not in {}", super::ALLOWED_SKIPS);
    } else {
        println!("    skipped: {package} {test}");
    }
}

fn command(workspace: &Workspace, binary: &Binary, plan: &Plan) -> Command {
    let mut command = Command::new(&binary.path);
    command.current_dir(&binary.folder).env("CARGO_MANIFEST_DIR", &binary.folder);
    command.env("CARGO_PKG_NAME", &binary.package);
    command.env("CARGO_TARGET_DIR", workspace.target());
    command.args(filters(plan));
    if plan.one_at_a_time {
        command.arg("--test-threads=1");
    }
    if let Some(tree) = &plan.tree {
        command.env(DIST_VARIABLE, tree);
    }
    command
}

fn filters(plan: &Plan) -> Vec<&'static str> {
    let mut words: Vec<&str> = plan.only.into_iter().collect();
    words.extend(plan.without.iter().flat_map(|name| ["--skip", *name]));
    words
}

/// The names of the tests that a plan takes in.
fn list(binary: &Binary, plan: &Plan, more: &[&str]) -> Result<Vec<String>, Failure> {
    let mut command = Command::new(&binary.path);
    command.current_dir(&binary.folder).args(["--list", "--format=terse"]);
    let listed = capture(command.args(filters(plan)).args(more))?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// What a test run printed, as far as it counts.
#[derive(Debug, Default)]
struct Transcript {
    counted: Option<Totals>,
    ignored: Vec<String>,
    hung: bool,
}

impl Transcript {
    /// Takes a line; says whether a reader wants to see it.
    fn take(&mut self, line: &str) -> bool {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let mut counted = self.counted.unwrap_or_default();
            counted += parse_result(rest);
            self.counted = Some(counted);
            return false;
        }
        if let Some((name, end)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            if end.starts_with("ignored") {
                self.ignored.push(name.to_owned());
            }
            return end.starts_with("FAILED");
        }
        let boilerplate = ["running ", "all doctests ran in"];
        !line.trim().is_empty() && boilerplate.iter().all(|start| !line.starts_with(start))
    }

    /// The totals: what was counted, and what was expected and did not come.
    fn totals(&self, status: ExitStatus, expected: usize) -> Totals {
        let mut totals = self.counted.unwrap_or_default();
        let missing = expected.saturating_sub(totals.count());
        totals.failed += missing;
        if self.hung {
            println!("    FAILED: the tests said nothing for too long and were killed");
        }
        if missing > 0 {
            println!("    FAILED: {missing} tests did not end ({status})");
        } else if !status.success() && totals.failed == 0 {
            println!("    FAILED: {status} though all tests passed");
            totals.failed += 1;
        }
        totals
    }
}

/// Reads `ok. 3 passed; 1 failed; 2 ignored; 0 measured; ...`.
fn parse_result(text: &str) -> Totals {
    let number = |what: &str| {
        let before = text.split(what).next().unwrap_or_default().trim_end();
        before.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    Totals { passed: number("passed"), failed: number("failed"), skipped: number("ignored") }
}

/// Runs a command to its end, or until it is silent for too long, and shows the
/// lines of stdout that matter; with `is_shown` all of them.
fn watch(command: &mut Command, is_shown: bool) -> Result<(ExitStatus, Transcript), Failure> {
    let mut transcript = Transcript::default();
    let silence = if is_shown { SILENCE_OF_ONE } else { SILENCE };
    let end = stream(command, silence, |line| {
        if transcript.take(line) || is_shown && !line.is_empty() {
            println!("    {line}");
        }
    })?;
    transcript.hung = end.hung;
    Ok((end.status, transcript))
}

#[cfg(test)]
mod tests;
