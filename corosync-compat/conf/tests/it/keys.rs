//! The same keys with the same types and values.

use std::collections::BTreeMap;

use crate::reference::Folder;

const COMPARED: [&str; 7] =
    ["logging.", "nodelist.", "quorum.", "runtime.config.", "system.", "totem.", "uidgid."];

fn compare(conf: &str) {
    compare_folder(&Folder::new(conf), conf);
}

fn compare_folder(folder: &Folder, conf: &str) {
    let is_compared = |key: &str| COMPARED.iter().any(|prefix| key.starts_with(prefix));
    let mut theirs = folder.keys_of_reference();
    theirs.retain(|key, _| is_compared(key));
    let config = folder.ours().unwrap_or_else(|refused| panic!("{refused}\n{conf}"));
    let ours: BTreeMap<String, String> = config
        .keys
        .iter()
        .filter(|(key, _)| is_compared(key))
        .map(|(key, value)| (key.to_owned(), format!("{value:?}")))
        .collect();
    for (key, value) in &theirs {
        assert_eq!(ours.get(key), Some(value), "{key} as the reference has it, in\n{conf}");
    }
    let more: Vec<_> = ours.keys().filter(|key| !theirs.contains_key(*key)).collect();
    assert!(more.is_empty(), "keys that the reference does not have: {more:?} in\n{conf}");
}

#[test]
fn udpu_with_bare_addresses() {
    compare(
        "totem {\n version: 2\n transport: udpu\n token: 1000\n}\n\
         nodelist {\n node {\n  ring0_addr: 10.7.0.1\n }\n node {\n  ring0_addr: 10.7.0.2\n }\n}\n\
         quorum {\n provider: corosync_votequorum\n}\n",
    );
}

#[test]
fn udpu_with_names_ids_votes_and_timers() {
    let nodes: String = (1..=5)
        .map(|n| {
            format!(
                " node {{\n  name: n{n}\n  nodeid: {n}\n  ring0_addr: 10.7.0.{n}\n  quorum_votes: {n}\n  rack: r{n}\n }}\n"
            )
        })
        .collect();
    compare(&format!(
        "totem {{\n version: 2\n transport: udpu\n cluster_name: five\n config_version: 18446744073709551615\n\
         token: 1234\n token_coefficient: 77\n token_retransmits_before_loss_const: 7\n join: 61\n\
         send_join: 3\n window_size: 51\n max_messages: 18\n merge: 0\n token_warning: 0\n\
         netmtu: 1400\n block_unlisted_ips: no\n cancel_token_hold_on_retransmit: yes\n\
         miss_count_const: 6\n odd: value: with colon\n interface {{\n  linknumber: 0\n  mcastport: 6000\n }}\n}}\n\
         nodelist {{\n{nodes}}}\n\
         quorum {{\n provider: corosync_votequorum\n expected_votes: 15\n wait_for_all: 1\n\
         last_man_standing_window: 5000\n auto_tie_breaker: 0\n strange: 1\n}}\n\
         logging {{\n to_stderr: no\n timestamp: off\n debug: off\n logger_subsys {{\n  subsys: QUORUM\n  debug: on\n\
         debug: off\n }}\n logging_daemon {{\n  name: corosync-qnetd\n  debug: on\n }}\n\
         logging_daemon {{\n  name: corosync\n  syslog_priority: notice\n }}\n\
         logging_daemon {{\n  name: corosync\n  subsys: CPG\n  debug: off\n }}\n\
         logging_daemon {{\n  name: other\n  subsys: x\n  debug: off\n }}\n}}\n\
         system {{\n qb_ipc_type: shm\n sched_rr: no\n priority: 0\n move_to_root_cgroup: no\n}}\n"
    ));
}

#[test]
fn udp_with_a_derived_address_and_generated_ids() {
    compare(
        "totem {\n version: 2\n transport: udp\n cluster_name: a cluster with a long name\n clear_node_high_bit: yes\n}\n\
         nodelist {\n node {\n  ring0_addr: 10.8.0.1\n  name: one\n }\n node {\n  ring0_addr: 250.0.0.9\n  name: two\n }\n\
         node {\n  ring0_addr: 10.8.0.3\n  name: three\n }\n}\n",
    );
}

#[test]
fn udp_with_a_given_address_and_a_time_to_live() {
    compare(
        "totem {\n version: 2\n transport: udp\n interface {\n  bindnetaddr: 10.7.0.0\n  mcastaddr: 239.1.2.3\n  mcastport: 7000\n  ttl: 3\n }\n}\n\
         nodelist {\n node {\n  nodeid: 7\n  ring0_addr: 10.7.0.1\n }\n}\n\
         quorum {\n provider: corosync_votequorum\n two_node: 1\n}\n",
    );
}

#[test]
fn udp_by_broadcast() {
    compare(
        "totem {\n version: 2\n transport: udp\n interface {\n  broadcast: yes\n }\n}\n\
         nodelist {\n node {\n  nodeid: 7\n  ring0_addr: 10.7.0.1\n }\n}\n",
    );
}

#[test]
fn udp_over_ipv6() {
    compare(
        "totem {\n version: 2\n transport: udp\n cluster_name: six\n ip_version: ipv6\n}\n\
         nodelist {\n node {\n  nodeid: 6\n  ring0_addr: fd07::1\n }\n}\n",
    );
}

#[test]
fn knet_with_two_links() {
    compare(
        "totem {\n version: 2\n cluster_name: k\n link_mode: active\n knet_compression_level: -1\n knet_pmtud_interval: 60\n\
         interface {\n  linknumber: 0\n  knet_link_priority: 7\n  knet_ping_interval: 500\n  knet_transport: udp\n }\n\
         interface {\n  linknumber: 1\n  knet_pong_count: 5\n }\n}\n\
         nodelist {\n node {\n  nodeid: 1\n  name: alpha\n  ring0_addr: 10.7.0.1\n  ring1_addr: 10.8.0.1\n }\n\
         node {\n  nodeid: 2\n  name: beta\n  ring0_addr: 10.7.0.2\n  ring1_addr: 10.8.0.2\n }\n\
         node {\n  nodeid: 3\n  name: gamma\n  ring0_addr: 10.7.0.3\n  ring1_addr: 10.8.0.3\n }\n}\n",
    );
}

#[test]
fn users_of_a_file_and_of_a_folder() {
    let conf = "totem {\n version: 2\n transport: udpu\n}\nuidgid {\n uid: daemon\n gid: 77\n}\n\
                nodelist {\n node {\n  nodeid: 1\n  name: alpha\n  ring0_addr: 10.7.0.1\n }\n}\n";
    let folder = Folder::new(conf);
    folder.write("uidgid.d/more", "uidgid {\n gid: bin\n uid: 5\n}\n");
    compare_folder(&folder, conf);
}

#[test]
fn the_local_node_is_found_by_host_name_and_by_address() {
    let file = |first: &str, second: &str| {
        format!(
            "totem {{\n version: 2\n transport: udpu\n token: 1001\n}}\n\
             nodelist {{\n node {{\n  nodeid: 1\n  {first}\n }}\n node {{\n  nodeid: 2\n  {second}\n }}\n}}\n"
        )
    };
    for (first, second) in [
        ("name: beta.example\n ring0_addr: 10.7.0.9", "name: alpha.other\n ring0_addr: 10.7.0.1"),
        ("name: beta\n ring0_addr: 10.8.0.1", "name: alpha\n ring0_addr: 10.7.0.1"),
        ("ring0_addr: 10.7.0.9", "ring0_addr: 10.8.0.1"),
        ("ring0_addr: fd07::9", "ring0_addr: fd07::1"),
    ] {
        compare(&file(first, second));
    }
}
