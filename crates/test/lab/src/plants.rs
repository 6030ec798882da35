//! Violations made on purpose, so that each checker is seen to catch one on
//! real nodes.

use std::fs;

use scenario::Plant;

use crate::cluster::LabCluster;
use crate::{NODE_SHARE, agents};

/// Below the share: what a node's probe has to misreport.
pub(crate) const MISREPORT: &str = "misreport";

/// Plants a violation on one node.
pub(crate) fn plant(cluster: &LabCluster, plant: Plant, node: u32) -> Result<(), String> {
    match plant {
        Plant::DoubleStart | Plant::UnfencedStart => start_by_hand(cluster, node),
        Plant::KeepRunning => deaf_to_stops(cluster, node),
        Plant::FalseQuorum => {
            // A cut-off minority that is told to expect one vote is quorate alone.
            cluster.lab.run_in(node, &["corosync-quorumtool", "-e", "1"]).map(drop)
        }
        Plant::FalseView | Plant::Reorder | Plant::FalseState => misreport(cluster, plant, node),
        Plant::FalseFence => cluster.lab.order(&["power", "lie", &node.to_string()]).map(drop),
    }
}

/// Calls the agent of the scenario's first resource as an administrator might,
/// behind the cluster's back.
fn start_by_hand(cluster: &LabCluster, node: u32) -> Result<(), String> {
    let resource = cluster.resources.first().ok_or("the scenario has no resource to start")?;
    let mut words = vec!["env".to_string(), "OCF_ROOT=/usr/lib/ocf".into()];
    words.push(format!("OCF_RESOURCE_INSTANCE={}", resource.id));
    for (name, value) in &resource.params {
        words
            .push(format!("OCF_RESKEY_{name}={}", value.replace("{net}", &crate::NET.to_string())));
    }
    words.push(agents::path(&resource.agent)?.display().to_string());
    words.push("start".into());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    cluster.lab.run_in(node, &words).map(drop)
}

/// The wrapper answers a stop with success and does nothing.
fn deaf_to_stops(cluster: &LabCluster, node: u32) -> Result<(), String> {
    leave_word(cluster, agents::DEAF, node, "")
}

/// The probe looks for the file before each report.
fn misreport(cluster: &LabCluster, plant: Plant, node: u32) -> Result<(), String> {
    leave_word(cluster, MISREPORT, node, &plant.to_string())
}

fn leave_word(cluster: &LabCluster, dir: &str, node: u32, text: &str) -> Result<(), String> {
    let words = cluster.lab.dir().share().join(dir);
    let written =
        fs::create_dir_all(&words).and_then(|()| fs::write(words.join(format!("n{node}")), text));
    written.map_err(|e| format!("{NODE_SHARE}/{dir}: {e}"))
}
