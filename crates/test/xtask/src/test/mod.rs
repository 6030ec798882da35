//! `cargo xtask test`: the one command that runs all tests.
//!
//! It sets up what is missing, builds every test once with the features of the
//! whole workspace, and then runs the tiers in the order of what they tell for
//! the time they take. A tier that runs nothing has failed, and so has, in CI, a
//! test that is skipped without its reason in [`ALLOWED_SKIPS`].

mod binaries;
mod campaigns;
mod libtest;
pub(crate) mod report;
mod skips;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Instant;

use crate::run::{Failure, is_ci};
use crate::workspace::Workspace;
use crate::{check, dist, setup};
use binaries::{Binary, Kind};
use report::{Report, Totals};
use skips::AllowedSkips;

/// The tests that CI may skip, with their reasons.
pub(crate) const ALLOWED_SKIPS: &str = "tests/allowed-skips";

/// What a tier needs to run.
struct Context<'a> {
    workspace: &'a Workspace,
    allowed: AllowedSkips,
    /// The test binaries, built when the first tier asks for them.
    binaries: OnceCell<Result<Vec<Binary>, Failure>>,
    /// The tree of `dist`, laid out when the first tier asks for it.
    tree: OnceCell<Result<PathBuf, Failure>>,
}

/// A tier of tests.
struct Tier {
    name: &'static str,
    what: &'static str,
    run: fn(&Context<'_>) -> Result<Totals, Failure>,
}

const TIERS: &[Tier] = &[
    Tier { name: "check", what: "formatting, lints, structure, licences", run: check_tier },
    Tier { name: "unit", what: "one rule each, transcripts, examples", run: unit_tier },
    Tier { name: "interop", what: "against the C library of the reference", run: interop_tier },
    Tier { name: "dist", what: "the files of the packages", run: dist_tier },
    Tier { name: "simulation", what: "seeds, determinism, mutants", run: simulation_tier },
    Tier { name: "lab", what: "real nodes: light, then full", run: lab_tier },
];

const USAGE: &str = "usage: cargo xtask test [--only TIER[,TIER]] [--list] [--no-setup]";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    only: Vec<String>,
    list: bool,
    no_setup: bool,
}

/// `cargo xtask test [--only TIER] [--list] [--no-setup]`
///
/// # Errors
/// When a test fails, or something that tests need cannot be had.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    let options = options(args)?;
    if options.list {
        TIERS.iter().for_each(|Tier { name, what, .. }| println!("{name:<11} {what}"));
        return Ok(());
    }
    if !options.no_setup {
        println!("=== setup");
        setup::run(workspace, &[])?;
    }
    let allowed = AllowedSkips::read(&workspace.root.join(ALLOWED_SKIPS))?;
    let context = Context::new(workspace, allowed);
    let mut report = Report::default();
    for tier in TIERS.iter().filter(|tier| options.wants(tier.name)) {
        println!("\n=== {}: {}", tier.name, tier.what);
        let start = Instant::now();
        let totals = run_tier(tier, &context);
        println!("=== {}: {totals} in {:.0} s", tier.name, start.elapsed().as_secs_f32());
        report.add(tier.name, totals, start.elapsed());
    }
    println!("\n{report}");
    if report.totals().failed > 0 { Err(Failure::told()) } else { Ok(()) }
}

/// Runs a tier; one that breaks off or runs nothing has failed.
fn run_tier(tier: &Tier, context: &Context<'_>) -> Totals {
    match (tier.run)(context) {
        Ok(totals) if totals.count() > 0 => totals,
        Ok(_) => {
            println!("FAILED: the tier {} ran no test at all", tier.name);
            Totals::of(false)
        }
        Err(failure) => {
            println!("FAILED: {failure}");
            Totals::of(false)
        }
    }
}

fn options(args: &[String]) -> Result<Options, Failure> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match (arg.as_str(), arg.strip_prefix("--only=")) {
            ("--list", _) => options.list = true,
            ("--no-setup", _) => options.no_setup = true,
            ("--only", _) => {
                let names = args.next().ok_or_else(|| Failure::new(USAGE))?;
                options.only.extend(split(names));
            }
            (_, Some(names)) => options.only.extend(split(names)),
            _ => return Err(Failure::new(USAGE)),
        }
    }
    match options.only.iter().find(|name| TIERS.iter().all(|tier| tier.name != **name)) {
        Some(name) => Err(Failure(format!("there is no tier {name:?}; --list shows them"))),
        None => Ok(options),
    }
}

fn split(names: &str) -> Vec<String> {
    names.split(',').map(str::to_owned).collect()
}

impl Options {
    fn wants(&self, tier: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == tier)
    }
}

impl<'a> Context<'a> {
    fn new(workspace: &'a Workspace, allowed: AllowedSkips) -> Self {
        Self { workspace, allowed, binaries: OnceCell::new(), tree: OnceCell::new() }
    }

    /// The test binaries of the whole workspace, built once.
    fn binaries(&self) -> Result<&[Binary], Failure> {
        match self.binaries.get_or_init(|| binaries::build(self.workspace)) {
            Ok(binaries) => Ok(binaries),
            Err(failure) => Err(failure.clone()),
        }
    }

    /// The tree that `dist` lays out, made once.
    fn tree(&self) -> Result<PathBuf, Failure> {
        self.tree.get_or_init(|| dist::lay_out_for_tests(self.workspace)).clone()
    }

    /// Runs the binaries that a tier consists of.
    fn run_binaries(
        &self,
        is_wanted: impl Fn(&Binary) -> bool,
        plan: &libtest::Plan,
    ) -> Result<Totals, Failure> {
        let mut totals = Totals::default();
        for binary in self.binaries()?.iter().filter(|binary| is_wanted(binary)) {
            totals += libtest::run(self.workspace, binary, plan, &self.allowed)?;
        }
        Ok(totals)
    }
}

fn check_tier(context: &Context<'_>) -> Result<Totals, Failure> {
    Ok(check::steps(context.workspace))
}

/// Everything but the integration tests that need the reference's packages,
/// and the examples in documentation.
fn unit_tier(context: &Context<'_>) -> Result<Totals, Failure> {
    let is_unit = |binary: &Binary| !is_interop(binary) && !is_lab(binary);
    let mut totals = context.run_binaries(is_unit, &libtest::Plan::default())?;
    totals += libtest::run_doc_tests(context.workspace, &context.allowed)?;
    Ok(totals)
}

fn interop_tier(context: &Context<'_>) -> Result<Totals, Failure> {
    context.run_binaries(is_interop, &libtest::Plan::default())
}

fn dist_tier(context: &Context<'_>) -> Result<Totals, Failure> {
    let tree = context.tree()?;
    campaigns::dist(context.workspace, &tree)
}

fn simulation_tier(context: &Context<'_>) -> Result<Totals, Failure> {
    campaigns::simulation(context.workspace)
}

/// Light nodes first: they say the same in less time.
fn lab_tier(context: &Context<'_>) -> Result<Totals, Failure> {
    let tree = context.tree()?;
    let plan = |only: Option<&'static str>, without: Option<&'static str>| libtest::Plan {
        one_at_a_time: true,
        only,
        without,
        tree: Some(tree.clone()),
    };
    let mut totals = context.run_binaries(is_lab, &plan(None, Some("full")))?;
    totals += context.run_binaries(is_lab, &plan(Some("full"), None))?;
    Ok(totals)
}

fn is_interop(binary: &Binary) -> bool {
    binary.package == "qb-ipc" && binary.kind == Kind::Integration
}

fn is_lab(binary: &Binary) -> bool {
    binary.package == "lab" && binary.kind == Kind::Integration
}

/// Whether a test that is skipped counts as failed.
fn counts_as_failed(is_allowed: bool) -> bool {
    is_ci() && !is_allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, Failure> {
        options(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn tiers_are_chosen_by_name() {
        let chosen = parse(&["--only", "unit,lab", "--only=dist", "--no-setup"]).unwrap();
        assert_eq!(chosen.only, ["unit", "lab", "dist"]);
        assert!(chosen.no_setup && chosen.wants("dist") && !chosen.wants("check"));
        assert!(parse(&[]).unwrap().wants("check"));
    }

    #[test]
    fn unknown_tiers_and_options_are_refused() {
        assert!(parse(&["--only", "units"]).unwrap_err().0.contains("units"));
        assert!(parse(&["--only"]).is_err());
        assert!(parse(&["unit"]).is_err());
    }

    #[test]
    fn a_tier_that_runs_nothing_has_failed() {
        let workspace = Workspace { root: ".".into() };
        let context = Context::new(&workspace, AllowedSkips::default());
        let tier = |run| Tier { name: "empty", what: "", run };
        let empty = run_tier(&tier(|_| Ok(Totals::default())), &context);
        assert_eq!(empty, Totals::of(false));
        let broken = run_tier(&tier(|_| Err(Failure::new("no compiler"))), &context);
        assert_eq!(broken, Totals::of(false));
    }
}
