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
        Plant::DoubleStart | Plant::UnfencedStart | Plant::KeepRunning => {
            start_by_hand(cluster, node)
        }
        Plant::FalseQuorum => {
            // A cut-off minority that is told to expect one vote is quorate alone.
            cluster.lab.run_in(node, &["corosync-quorumtool", "-e", "1"]).map(drop)
        }
        Plant::FalseView | Plant::Reorder | Plant::FalseState => misreport(cluster, plant, node),
        Plant::FalseFence => false_fence(cluster, node),
    }
}

/// Calls the agent of the scenario's first resource as an administrator might,
/// behind the cluster's back.
fn start_by_hand(cluster: &LabCluster, node: u32) -> Result<(), String> {
    let resource = cluster.resources.first().ok_or("the scenario has no resource to start")?;
    let mut words = vec!["env".to_string(), "OCF_ROOT=/usr/lib/ocf".into()];
    words.push(format!("OCF_RESOURCE_INSTANCE={}", resource.id));
    for (name, value) in &resource.params {
        words.push(format!("OCF_RESKEY_{name}={}", value.replace("{net}", &crate::NET.to_string())));
    }
    words.push(agents::path(&resource.agent)?.display().to_string());
    words.push("start".into());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    cluster.lab.run_in(node, &words).map(drop)
}

/// The probe looks for the file before each report.
fn misreport(cluster: &LabCluster, plant: Plant, node: u32) -> Result<(), String> {
    let share = cluster.lab.dir().share();
    let orders = share.join(MISREPORT);
    let written = fs::create_dir_all(&orders)
        .and_then(|()| fs::write(orders.join(format!("n{node}")), plant.to_string()));
    written.map_err(|e| format!("{NODE_SHARE}/{MISREPORT}: {e}"))
}

/// The switch lies for the node, and somebody asks it to fence the node.
fn false_fence(cluster: &LabCluster, node: u32) -> Result<(), String> {
    cluster.lab.order(&["power", "lie", &node.to_string()])?;
    let target = format!("--plug=n{node}");
    let asker = (1..=cluster.lab.spec().nodes).find(|n| {
        *n != node && cluster.lab.order(&["leader", &n.to_string()]).is_ok()
    });
    let asker = asker.ok_or("no other node has power to ask for the fencing")?;
    cluster.lab.run_in(asker, &["fence_lab", "--action=off", &target]).map(drop)
}
