use super::*;
use crate::{Files, Host, Interface, configure, read};

fn config(totem: &str, nodes: &[&str], rest: &str) -> Config {
    let nodes: String = nodes.iter().map(|n| format!(" node {{\n{n}\n }}\n")).collect();
    let text = format!("totem {{\n version: 2\n{totem}\n}}\nnodelist {{\n{nodes}}}\n{rest}");
    let interface = Interface { address: "10.0.0.1".parse().unwrap(), prefix_len: 24, name: None };
    let host = Host { nodename: "a".into(), interfaces: vec![interface], ..Host::default() };
    configure(read(&Files::main("c", text), &host).unwrap(), &host).unwrap()
}

const A: &str = "nodeid: 1\nname: a\nring0_addr: 10.0.0.1";
const B: &str = "nodeid: 2\nname: b\nring0_addr: 10.0.0.2";
const C: &str = "nodeid: 3\nname: c\nring0_addr: 10.0.0.3";
const UDPU: &str = "transport: udpu\ncluster_name: x";

#[test]
fn the_same_file_again_changes_nothing() {
    let old = config(UDPU, &[A, B], "");
    let plan = plan(&old, &old.keys, &old, false).unwrap();
    assert_eq!((plan.changes, plan.ignored), (vec![], vec![]));
}

#[test]
fn a_node_that_goes_leaves_no_gap() {
    let old = config(UDPU, &[A, B, C], "");
    let new = config(UDPU, &[A, C], "");
    let plan = plan(&old, &old.keys, &new, false).unwrap();
    let text = |t: &str| Value::text(t);
    let set = |k: &str, v| Change::Set(k.to_owned(), v);
    let delete = |k: &str| Change::Delete(k.to_owned());
    let nodelist: Vec<Change> = plan
        .changes
        .into_iter()
        .filter(
            |c| matches!(c, Change::Delete(k) | Change::Set(k, _) if k.starts_with("nodelist.")),
        )
        .collect();
    assert_eq!(
        nodelist,
        [
            delete("nodelist.node.2.name"),
            delete("nodelist.node.2.nodeid"),
            delete("nodelist.node.2.ring0_addr"),
            set("nodelist.node.1.name", text("c")),
            set("nodelist.node.1.nodeid", Value::U32(3)),
            set("nodelist.node.1.ring0_addr", text("10.0.0.3")),
        ]
    );
    let left: Vec<u32> = plan.left.iter().map(|(_, m)| m.node.0).collect();
    assert_eq!((left, plan.joined), (vec![2], vec![]));
}

#[test]
fn a_node_that_comes_is_told_and_the_token_follows() {
    let (old, new) = (config(UDPU, &[A, B], ""), config(UDPU, &[A, B, C], ""));
    let plan = plan(&old, &old.keys, &new, false).unwrap();
    assert_eq!(plan.joined.len(), 1);
    let token = Change::Set("runtime.config.totem.token".to_owned(), Value::U32(3650));
    assert!(plan.changes.contains(&token), "{:?}", plan.changes);
}

#[test]
fn what_cannot_change_stays_and_is_said() {
    let old = config(UDPU, &[A], "system {\n priority: 1\n}\n");
    let new = config("transport: udp\ncluster_name: y", &[A], "logging {\n debug: on\n}\n");
    let plan = plan(&old, &old.keys, &new, false).unwrap();
    let said = |key: &str| {
        format!("Modified entry '{key}' in corosync.conf cannot be changed at run-time")
    };
    assert_eq!(plan.ignored, [said("totem.cluster_name"), said("totem.transport")]);
    let debug = Change::Set("logging.debug".to_owned(), Value::text("on"));
    assert!(plan.changes.contains(&debug));
    assert!(!plan.changes.iter().any(|c| {
        matches!(c, Change::Set(k, _) | Change::Delete(k) if k == "totem.transport" || k == "system.priority")
    }));
}

#[test]
fn keys_of_udpu_need_a_restart_those_of_knet_do_not() {
    let keyed = format!("{UDPU}\nsecauth: on");
    let (clear, keyed) = (config(UDPU, &[A], ""), config(&keyed, &[A], ""));
    for (old, new, differ) in
        [(&clear, &keyed, true), (&keyed, &clear, false), (&keyed, &keyed, true)]
    {
        let refused = plan(old, &old.keys, new, differ).unwrap_err();
        let RefusedReload::RestartNeeded { reason } = refused else { panic!("{refused:?}") };
        assert!(reason.contains("restart needed"));
    }
    assert!(plan(&keyed, &keyed.keys, &keyed, false).is_ok());
    let knet = config("secauth: on", &[A], "");
    assert!(plan(&knet, &knet.keys, &knet, true).is_ok());
}

#[test]
fn addresses_and_the_own_id_stay() {
    let old = config(UDPU, &[A, B], "");
    let moved = config(UDPU, &[A, "nodeid: 2\nname: b\nring0_addr: 10.0.0.9"], "");
    let refused = plan(&old, &old.keys, &moved, false).unwrap_err();
    let RefusedReload::LinkChanged { details, .. } = refused else { panic!("{refused:?}") };
    assert!(details[0].contains("addr changed from 10.0.0.2 to 10.0.0.9"), "{details:?}");
    let renumbered = config(UDPU, &["nodeid: 7\nname: a\nring0_addr: 10.0.0.1", B], "");
    let refused = plan(&old, &old.keys, &renumbered, false).unwrap_err();
    assert!(matches!(refused, RefusedReload::LocalNodeChanged { .. }));
}
