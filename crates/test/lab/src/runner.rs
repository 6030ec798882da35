//! Runs scenario files on real nodes, with all checkers afterwards.

use std::path::{Path, PathBuf};

use checkers::Settings;
use observe::Observation;
use scenario::{Failure, Fencing, Scenario};

use crate::client::Lab;
use crate::cluster::{LabCluster, Watch};
use crate::layout::MachineLock;
use crate::mix::{self, Mix};
use crate::spec::{Kind, Spec};
use crate::{image, requirements};

/// How scenarios are to be run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The binary `lab`.
    pub program: PathBuf,
    /// How real the nodes are.
    pub kind: Kind,
    /// Which stack runs where.
    pub mix: Mix,
    /// The tree of our programs.
    pub dist: Option<PathBuf>,
    /// Print each observation as it comes.
    pub verbose: bool,
    /// Leave the lab running afterwards, under this name.
    pub keep: Option<String>,
}

impl RunOptions {
    /// The reference on light nodes.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        RunOptions {
            program: program.into(),
            kind: Kind::Light,
            mix: Mix::default(),
            dist: None,
            verbose: false,
            keep: None,
        }
    }
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// The scenario's title.
    pub title: String,
    /// The step that failed.
    pub failure: Option<Failure>,
    /// What the checkers found against expectation.
    pub violations: Vec<String>,
    /// What the checkers found as they were to.
    pub caught: Vec<String>,
    /// Checkers that the scenario switched off, each with its reason.
    pub off: Vec<String>,
    /// All observations.
    pub trace: Vec<Observation>,
    /// The last table of executables.
    pub table: String,
}

impl Outcome {
    /// Whether all went as the scenario says.
    pub fn passed(&self) -> bool {
        self.failure.is_none() && self.violations.is_empty()
    }
}

/// Runs one scenario file.
pub fn run_file(path: &Path, options: &RunOptions) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    run_text(&text, options).map_err(|why| format!("{}: {why}", path.display()))
}

/// Runs one scenario.
pub fn run_text(text: &str, options: &RunOptions) -> Result<Outcome, String> {
    let scenario = scenario::parse(text).map_err(|e| e.to_string())?;
    let stack = if options.mix == Mix::default() { "reference" } else { "ours" };
    if !scenario.stacks.is_empty() && !scenario.stacks.iter().any(|s| s == stack) {
        return Err(format!(
            "this scenario is for {}, not for real nodes of the {stack} stack",
            scenario.stacks.join(", ")
        ));
    }
    let watch: Option<Watch> =
        options.verbose.then(|| Box::new(|seen: &Observation| println!("    {seen}")) as Watch);
    run_scenario(&scenario, options, watch, |_| Ok(()))
}

/// Runs a scenario that somebody watches; `ready` is called when its nodes have
/// booted and nothing is started on them yet.
pub(crate) fn run_scenario(
    scenario: &Scenario,
    options: &RunOptions,
    watch: Option<Watch>,
    ready: impl FnOnce(&Lab) -> Result<(), String>,
) -> Result<Outcome, String> {
    requirements::check(options.kind)?;
    let spec = spec(scenario, options)?;
    let _machine = MachineLock::acquire()?;
    let lab = Lab::start(&options.program, options.keep.as_deref(), spec)?;
    ready(&lab)?;
    let mut cluster = LabCluster::new(lab, scenario.resources.clone());
    cluster.watch = watch;
    let report = scenario::run(scenario, &mut cluster);
    let outcome = judge(scenario, report, &mut cluster);
    if options.keep.is_some() {
        cluster.lab.detach()?;
    }
    Ok(outcome)
}

fn spec(scenario: &Scenario, options: &RunOptions) -> Result<Spec, String> {
    let mut spec = Spec::of_scenario(scenario)?;
    spec.kind = options.kind;
    spec.mix = options.mix.clone();
    spec.dist.clone_from(&options.dist);
    mix::check(&spec.mix, spec.nodes, spec.dist.as_deref())?;
    if spec.kind == Kind::Full {
        spec.image = Some(image::ready()?);
    }
    Ok(spec)
}

fn judge(scenario: &Scenario, report: scenario::Report, cluster: &mut LabCluster) -> Outcome {
    let mut failure = report.failure;
    if failure.is_none()
        && let Err(why) = cluster.verify_whole()
    {
        failure = Some(Failure { line: 0, step: "the audit at the end".into(), why });
    }
    let settings = settings(scenario, cluster);
    let mut violations = Vec::new();
    let mut caught = Vec::new();
    for violation in checkers::check(&settings, &report.trace) {
        if report.must_catch.iter().any(|name| name == violation.checker) {
            caught.push(violation.to_string());
        } else {
            violations.push(violation.to_string());
        }
    }
    for name in &report.must_catch {
        if failure.is_none() && !caught.iter().any(|text| text.starts_with(name.as_str())) {
            violations.push(format!("{name} did not catch what was planted for it"));
        }
    }
    Outcome {
        title: scenario.title.clone(),
        failure,
        violations,
        caught,
        off: settings.off.iter().map(|(name, why)| format!("{name}: {why}")).collect(),
        trace: report.trace,
        table: cluster.table.clone(),
    }
}

/// What the checkers must know of this run.
fn settings(scenario: &Scenario, cluster: &LabCluster) -> Settings {
    let mut settings = Settings::majority(scenario.nodes);
    if scenario.nodes == 2 {
        // corosync.conf says two_node.
        settings.quorum = 1;
    }
    if let Fencing::Off { because } = &scenario.fencing {
        settings = settings.without_fencing(because);
        // Nor can the majority wait for a stop in the minority that it cannot see.
        settings.off.insert("single-active", because.clone());
    }
    settings.unable.clone_from(&cluster.unable);
    // The probe comes to a corosync that already runs.
    settings.late_observers = true;
    settings
}
