//! Text to [`Scenario`].

use std::fmt;

use crate::{
    Action, Condition, Fencing, Nodes, PLANTS, PowerMode, Resource, Scenario, Step, StepKind,
};

/// A line that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Line in the file, from 1; 0: the file as a whole.
    pub line: usize,
    /// What is wrong and what would be right.
    pub why: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for ScenarioError {}

/// Parses a scenario file.
pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    let mut scenario = Scenario {
        title: String::new(),
        nodes: 0,
        fencing: Fencing::On,
        transport: "udpu".into(),
        stacks: Vec::new(),
        properties: Vec::new(),
        resources: Vec::new(),
        groups: Vec::new(),
        steps: Vec::new(),
    };
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let content = raw.split('#').next().unwrap_or_default().trim();
        if !content.is_empty() {
            read_line(&mut scenario, line, content).map_err(|why| ScenarioError { line, why })?;
        }
    }
    check(&scenario)?;
    Ok(scenario)
}

fn read_line(scenario: &mut Scenario, line: usize, content: &str) -> Result<(), String> {
    let (word, rest) = split_word(content);
    if head(scenario, word, rest)? {
        if scenario.steps.is_empty() {
            return Ok(());
        }
        return Err(format!("\"{word}\" belongs before the first step"));
    }
    let kind = step(word, rest)?;
    scenario.steps.push(Step { line, text: content.to_string(), kind });
    Ok(())
}

/// Reads a line of the head; false when `word` is none.
fn head(scenario: &mut Scenario, word: &str, rest: &str) -> Result<bool, String> {
    match word {
        "title" => scenario.title = rest.to_string(),
        "nodes" => {
            let count = rest.parse().ok().filter(|n| (1..=64).contains(n));
            scenario.nodes = count.ok_or("nodes takes a number from 1 to 64")?;
        }
        "fencing" => scenario.fencing = fencing(rest)?,
        "transport" => match rest {
            "udpu" | "udp" | "knet" => scenario.transport = rest.to_string(),
            _ => return Err("transport is udpu, udp or knet".into()),
        },
        "stacks" => scenario.stacks = rest.split_whitespace().map(String::from).collect(),
        "property" => scenario.properties.push(assignment(rest)?),
        "resource" => scenario.resources.push(resource(rest)?),
        "group" => {
            let mut words = rest.split_whitespace().map(String::from);
            let name = words.next().ok_or("group NAME RESOURCE...")?;
            scenario.groups.push((name, words.collect()));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn fencing(rest: &str) -> Result<Fencing, String> {
    if rest == "on" {
        return Ok(Fencing::On);
    }
    let because = rest.strip_prefix("off because ").map(str::trim).unwrap_or_default();
    if because.is_empty() {
        return Err("fencing is \"on\" or \"off because REASON\"".into());
    }
    Ok(Fencing::Off { because: because.to_string() })
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = pair.ok_or_else(|| format!("\"{text}\" is not NAME=VALUE"))?;
    Ok((name.trim().to_string(), value.trim().to_string()))
}

fn resource(rest: &str) -> Result<Resource, String> {
    let mut words = rest.split_whitespace();
    let (Some(id), Some(agent)) = (words.next(), words.next()) else {
        return Err("resource ID AGENT [NAME=VALUE...]".into());
    };
    let params = words.map(assignment).collect::<Result<_, _>>()?;
    Ok(Resource { id: id.to_string(), agent: agent.to_string(), params })
}

fn step(word: &str, rest: &str) -> Result<StepKind, String> {
    let action = |action| Ok(StepKind::Do(action));
    match word {
        "start" => action(Action::Start(nodes(rest)?)),
        "stop" => action(Action::Stop(nodes(rest)?)),
        "kill" => action(Action::Kill(nodes(rest)?)),
        "boot" => action(Action::Boot(nodes(rest)?)),
        "freeze" => action(Action::Freeze(nodes(rest)?)),
        "thaw" => action(Action::Thaw(nodes(rest)?)),
        "kill-daemon" => {
            let (node, daemon) = split_word(rest);
            if daemon.is_empty() {
                return Err("kill-daemon NODE DAEMON".into());
            }
            action(Action::KillDaemon(nodes(node)?, daemon.to_string()))
        }
        "cut" => {
            let sides = rest.split('/').map(|side| nodes(side.trim()));
            let sides: Vec<Nodes> = sides.collect::<Result<_, _>>()?;
            if sides.len() < 2 {
                return Err("cut NODES / NODES [/ NODES...]".into());
            }
            action(Action::Cut(sides))
        }
        "one-way" => {
            let (from, to) = rest.split_once("->").ok_or("one-way NODES -> NODES")?;
            action(Action::OneWay(nodes(from.trim())?, nodes(to.trim())?))
        }
        "heal" => action(Action::Heal),
        "loss" => action(Action::Loss(per_mille(rest)?)),
        "slow" => action(Action::Slow(duration_ms(rest)?)),
        "power" => {
            let (mode, target) = split_word(rest);
            let target = if target.is_empty() { Nodes::All } else { nodes(target)? };
            action(Action::Power(power_mode(mode)?, target))
        }
        "plant" => {
            let (name, target) = split_word(rest);
            let known = PLANTS.iter().find(|(_, n, _)| *n == name);
            let (plant, ..) = known.ok_or_else(|| format!("no violation is called \"{name}\""))?;
            action(Action::Plant(*plant, nodes(target)?))
        }
        "name" => {
            let (name, value) = rest.split_once('=').ok_or("name NAME = NODES")?;
            Ok(StepKind::Name(name.trim().to_string(), nodes(value.trim())?))
        }
        "within" => {
            let (time, rest) = split_word(rest);
            Ok(StepKind::Within(duration_ms(time)?, condition(rest)?))
        }
        "hold" => {
            let (time, rest) = split_word(rest);
            Ok(StepKind::Hold(duration_ms(time)?, condition(rest)?))
        }
        "now" => Ok(StepKind::Hold(0, condition(rest)?)),
        "pass" => Ok(StepKind::Pass(duration_ms(rest)?)),
        "caught" => match PLANTS.iter().find(|(_, _, checker)| *checker == rest) {
            Some(_) => Ok(StepKind::Caught(rest.to_string())),
            None => Err(format!("no checker is called \"{rest}\"")),
        },
        _ => Err(format!("\"{word}\" is neither a line of the head nor a step")),
    }
}

fn power_mode(word: &str) -> Result<PowerMode, String> {
    match word {
        "ok" => Ok(PowerMode::Ok),
        "fail" => Ok(PowerMode::Fail),
        "hang" => Ok(PowerMode::Hang),
        "lie" => Ok(PowerMode::Lie),
        _ => Err("power ok|fail|hang|lie [NODES]".into()),
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    let (word, rest) = split_word(text);
    Ok(match word {
        "quorate" => Condition::Quorate(nodes(rest)?),
        "inquorate" => Condition::Inquorate(nodes(rest)?),
        "view" => Condition::View(nodes(rest)?),
        "fenced" => Condition::Fenced(nodes(rest)?),
        "up" => Condition::Up(nodes(rest)?),
        "down" => Condition::Down(nodes(rest)?),
        "agree" => Condition::Agree(nodes(rest)?),
        "active" | "inactive" => {
            let (rsc, rest) = split_word(rest);
            let place = match rest.strip_prefix("on ") {
                Some(place) => Some(nodes(place.trim())?),
                None if rest.is_empty() => None,
                None => return Err(format!("{word} RESOURCE [on NODES]")),
            };
            if word == "active" {
                Condition::Active(rsc.to_string(), place)
            } else {
                Condition::Inactive(rsc.to_string(), place.unwrap_or(Nodes::All))
            }
        }
        _ => return Err(format!("\"{word}\" is no condition")),
    })
}

/// How often `rest(..)` may stand in itself.
const MAX_DEPTH: usize = 8;

fn nodes(text: &str) -> Result<Nodes, String> {
    nodes_within(text, MAX_DEPTH)
}

/// Reads `all`, `n1,n2`, `$name`, `holder(RSC)` or `rest(NODES)`, the latter
/// `depth` times in itself.
fn nodes_within(text: &str, depth: usize) -> Result<Nodes, String> {
    let inner = |prefix: &str| text.strip_prefix(prefix).and_then(|t| t.strip_suffix(')'));
    if text == "all" {
        return Ok(Nodes::All);
    }
    if let Some(name) = text.strip_prefix('$') {
        return Ok(Nodes::Named(name.to_string()));
    }
    if let Some(rsc) = inner("holder(") {
        return Ok(Nodes::Holder(rsc.to_string()));
    }
    if let Some(but) = inner("rest(") {
        let depth = depth.checked_sub(1);
        let depth =
            depth.ok_or_else(|| format!("rest(..) is nested more than {MAX_DEPTH} times"))?;
        return Ok(Nodes::Rest(Box::new(nodes_within(but, depth)?)));
    }
    let number = |word: &str| word.trim().strip_prefix('n').and_then(|d| d.parse().ok());
    let list: Option<Vec<u32>> = text.split(',').map(number).collect();
    let wanted = || format!("\"{text}\" names no nodes (all, n1,n2, $name, holder(rsc), rest(..))");
    Ok(Nodes::List(list.ok_or_else(wanted)?))
}

fn duration_ms(text: &str) -> Result<u64, String> {
    let wanted = || format!("\"{text}\" is no time (500ms, 10s, 2m)");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wanted())?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(wanted()),
    };
    number.checked_mul(factor).ok_or_else(wanted)
}

fn per_mille(text: &str) -> Result<u32, String> {
    let percent: Option<f64> = text.strip_suffix('%').and_then(|n| n.parse().ok());
    let percent = percent.filter(|p| (0.0..=100.0).contains(p));
    let percent = percent.ok_or_else(|| format!("\"{text}\" is no share (2.5%)"))?;
    // In range by the filter above: 0 to 1000.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let per_mille = (percent * 10.0).round() as u32;
    Ok(per_mille)
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

/// What only the whole file shows.
fn check(scenario: &Scenario) -> Result<(), ScenarioError> {
    let whole = |why: &str| Err(ScenarioError { line: 0, why: why.to_string() });
    if scenario.title.is_empty() {
        return whole("no title");
    }
    if scenario.nodes == 0 {
        return whole("no number of nodes");
    }
    for (group, members) in &scenario.groups {
        for member in members {
            if !scenario.resources.iter().any(|r| r.id == *member) {
                return whole(&format!("group {group} names {member}, which is no resource"));
            }
        }
    }
    check_steps(scenario)
}

fn check_steps(scenario: &Scenario) -> Result<(), ScenarioError> {
    let mut named: Vec<&str> = Vec::new();
    for step in &scenario.steps {
        let refuse = |why: String| Err(ScenarioError { line: step.line, why });
        for used in nodes_of(&step.kind) {
            match unknown_in(used, scenario, &named) {
                None => {}
                Some(why) => return refuse(why),
            }
        }
        if let StepKind::Within(_, c) | StepKind::Hold(_, c) = &step.kind
            && let Condition::Active(rsc, _) | Condition::Inactive(rsc, _) = c
            && !scenario.knows(rsc)
        {
            return refuse(format!("no resource or group is called \"{rsc}\""));
        }
        if let StepKind::Name(name, _) = &step.kind {
            named.push(name);
        }
    }
    Ok(())
}

impl Scenario {
    /// Whether `id` is a resource or a group of this scenario.
    pub fn knows(&self, id: &str) -> bool {
        self.resources.iter().any(|r| r.id == id) || self.groups.iter().any(|(g, _)| g == id)
    }

    /// The resources behind a resource's or group's id.
    pub fn members(&self, id: &str) -> Vec<String> {
        let group = self.groups.iter().find(|(name, _)| name == id);
        group.map_or_else(|| vec![id.to_string()], |(_, members)| members.clone())
    }
}

/// Every place in which a step speaks of nodes.
fn nodes_of(kind: &StepKind) -> Vec<&Nodes> {
    match kind {
        StepKind::Do(action) => action.nodes(),
        StepKind::Name(_, nodes) => vec![nodes],
        StepKind::Within(_, condition) | StepKind::Hold(_, condition) => match condition {
            Condition::Quorate(n)
            | Condition::Inquorate(n)
            | Condition::View(n)
            | Condition::Inactive(_, n)
            | Condition::Fenced(n)
            | Condition::Up(n)
            | Condition::Down(n)
            | Condition::Agree(n) => vec![n],
            Condition::Active(_, n) => n.iter().collect(),
        },
        StepKind::Pass(_) | StepKind::Caught(_) => Vec::new(),
    }
}

impl<N> Action<N> {
    /// The nodes that the action speaks of.
    pub fn nodes(&self) -> Vec<&N> {
        match self {
            Action::Start(n)
            | Action::Stop(n)
            | Action::Kill(n)
            | Action::Boot(n)
            | Action::Freeze(n)
            | Action::Thaw(n)
            | Action::KillDaemon(n, _)
            | Action::Power(_, n)
            | Action::Plant(_, n) => vec![n],
            Action::Cut(sides) => sides.iter().collect(),
            Action::OneWay(from, to) => vec![from, to],
            Action::Heal | Action::Loss(_) | Action::Slow(_) => Vec::new(),
        }
    }
}

fn unknown_in(nodes: &Nodes, scenario: &Scenario, named: &[&str]) -> Option<String> {
    match nodes {
        Nodes::All => None,
        Nodes::List(list) => {
            let stranger = list.iter().find(|n| !(1..=scenario.nodes).contains(n))?;
            Some(format!("there is no node n{stranger}: the cluster has {}", scenario.nodes))
        }
        Nodes::Named(name) if named.contains(&name.as_str()) => None,
        Nodes::Named(name) => Some(format!("${name} has not been named before")),
        Nodes::Holder(rsc) if scenario.knows(rsc) => None,
        Nodes::Holder(rsc) => Some(format!("no resource or group is called \"{rsc}\"")),
        Nodes::Rest(but) => unknown_in(but, scenario, named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title t\nnodes 3\nresource vip ocf:heartbeat:IPaddr2 ip=10.{net}.0.9\n";

    fn why(steps: &str) -> String {
        parse(&format!("{HEAD}{steps}")).unwrap_err().to_string()
    }

    #[test]
    fn nesting_has_a_limit() {
        for depth in [1, MAX_DEPTH] {
            let nested = format!("kill {}n1{}\n", "rest(".repeat(depth), ")".repeat(depth));
            assert!(parse(&format!("{HEAD}{nested}")).is_ok(), "{depth}");
        }
        for depth in [MAX_DEPTH + 1, 1_000_000] {
            let nested = format!("kill {}n1{}\n", "rest(".repeat(depth), ")".repeat(depth));
            assert!(why(&nested).ends_with("rest(..) is nested more than 8 times"), "{depth}");
        }
    }

    #[test]
    fn a_scenario_is_read_whole() {
        let text = format!(
            "{HEAD}fencing off because the variant shows what is lost\ngroup web vip\n\
             start all\nwithin 60s active web on n1,n2  # either\nname victim = holder(vip)\n\
             cut $victim / rest($victim)\nloss 2.5%\npower lie\nhold 500ms inquorate $victim\n\
             one-way n1 -> n2,n3\nplant double-start n2\ncaught single-active\n"
        );
        let scenario = parse(&text).unwrap();
        let victim = || Nodes::Named("victim".into());
        assert_eq!(scenario.members("web"), ["vip"]);
        assert_eq!(scenario.resources[0].params, [("ip".into(), "10.{net}.0.9".into())]);
        let kinds: Vec<&StepKind> = scenario.steps.iter().map(|s| &s.kind).collect();
        let place = Some(Nodes::List(vec![1, 2]));
        assert_eq!(*kinds[1], StepKind::Within(60_000, Condition::Active("web".into(), place)));
        let sides = vec![victim(), Nodes::Rest(Box::new(victim()))];
        assert_eq!(*kinds[3], StepKind::Do(Action::Cut(sides)));
        assert_eq!(*kinds[4], StepKind::Do(Action::Loss(25)));
        assert_eq!(*kinds[6], StepKind::Hold(500, Condition::Inquorate(victim())));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert_eq!(parse("nodes 3\n").unwrap_err().to_string(), "line 0: no title");
        assert_eq!(why("jump n1\n"), "line 4: \"jump\" is neither a line of the head nor a step");
        assert_eq!(why("kill n4\n"), "line 4: there is no node n4: the cluster has 3");
        assert_eq!(why("kill $x\n"), "line 4: $x has not been named before");
        assert_eq!(why("within 5 quorate all\n"), "line 4: \"5\" is no time (500ms, 10s, 2m)");
        assert_eq!(why("within 5s active web\n"), "line 4: no resource or group is called \"web\"");
        assert_eq!(why("start all\nnodes 2\n"), "line 5: \"nodes\" belongs before the first step");
        assert_eq!(why("fencing off\n"), "line 4: fencing is \"on\" or \"off because REASON\"");
    }
}
