use std::net::IpAddr;

use crate::quorum::Expected;
use crate::totem::{Cipher, Hash, Transport};
use crate::{Config, Files, Host, Interface, Refused, Text, configure, read, startable};
use ha_types::Node;

fn host() -> Host {
    let interface = |address: &str| Interface {
        address: address.parse::<IpAddr>().unwrap(),
        prefix_len: 24,
        name: None,
    };
    Host {
        nodename: "old".to_owned(),
        interfaces: vec![interface("127.0.0.1"), interface("192.168.5.11")],
        ..Host::default()
    }
}

fn config(text: &str) -> Result<Config, Refused> {
    configure(read(&Files::main("c", text), &host())?, &host())
}

const MULTICAST: &str = "compatibility: whitetank\n\
    totem {\n version: 2\n threads: 0\n interface {\n  ringnumber: 0\n  bindnetaddr: 192.168.5.0\n\
    mcastaddr: 226.94.1.1\n  mcastport: 5405\n  ttl: 1\n }\n}\n\
    amf {\n mode: disabled\n}\naisexec {\n user: root\n group: root\n}\n";

fn plugin(version: u8) -> String {
    format!("service {{\n name: pacemaker\n ver: {version}\n}}\n")
}

#[test]
fn a_multicast_file_with_the_plugin_starts_as_it_did() {
    let config = config(&format!("{MULTICAST}{}", plugin(0))).unwrap();
    assert_eq!(startable(&config), Ok(()));
    assert_eq!((config.totem.transport, config.totem.transport_is_implied), (Transport::Udp, true));
    let protection = &config.totem.protection;
    assert_eq!((protection.cipher, protection.hash), (Cipher::Aes256, Hash::Sha256));
    assert!(config.legacy.starts_pacemakerd && config.legacy.votequorum_by_itself);
    assert_eq!(config.local.node, Node(u32::from_be_bytes([192, 168, 5, 11])));
    let link = &config.links[0];
    assert_eq!((link.multicast.unwrap().to_string(), link.port), ("226.94.1.1".to_owned(), 5405));
    let quorum = config.quorum.as_ref().unwrap();
    assert_eq!((quorum.expected, quorum.waits_for_all()), (Expected::HighestSeen, true));
    assert_eq!(config.keys.text("quorum.provider"), Some("corosync_votequorum"));
    assert!(
        config.notices.iter().any(|n| n.contains("set expected_votes")),
        "{:?}",
        config.notices
    );
    assert_eq!(config.document.unknown, [], "nothing of 1.x is unknown");
}

#[test]
fn the_remedy_is_one_line_and_changes_nothing_else() {
    let text = format!("{MULTICAST}{}quorum {{\n expected_votes: 3\n}}\n", plugin(1));
    let config = config(&text).unwrap();
    assert_eq!(startable(&config), Ok(()));
    let quorum = config.quorum.as_ref().unwrap();
    assert_eq!((quorum.expected, quorum.waits_for_all()), (Expected::Votes(3), false));
    assert!(config.legacy.secauth_is_on && !config.legacy.starts_pacemakerd);
}

#[test]
fn without_the_plugin_nothing_is_added() {
    let config = config(MULTICAST).unwrap();
    assert_eq!(config.quorum, None);
    assert_eq!(config.totem.protection.hash, Hash::None);
    assert!(!config.legacy.names_pacemaker && config.legacy.implies_udp);
}

#[test]
fn what_the_file_says_of_keys_stands() {
    for (line, hash) in [("secauth: off", Hash::None), ("crypto_hash: sha1", Hash::Sha1)] {
        let text = MULTICAST.replace("threads: 0", line);
        assert_eq!(config(&format!("{text}{}", plugin(1))).unwrap().totem.protection.hash, hash);
    }
    let refused = config(&MULTICAST.replace("threads: 0", "secauth: perhaps")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "parser error: c:4: Invalid secauth value. Should be on or off"
    );
}

#[test]
fn the_plugin_may_be_named_in_a_file_of_its_own() {
    let mut files = Files::main("c", MULTICAST);
    files.service.push(Text { name: "s".to_owned(), bytes: plugin(1).into_bytes() });
    let config = configure(read(&files, &host()).unwrap(), &host()).unwrap();
    assert!(config.legacy.votequorum_by_itself && config.legacy.secauth_is_on);
    files.service[0].bytes = b"service {\n".to_vec();
    let refused = read(&files, &host()).unwrap_err();
    assert_eq!(refused.to_string(), "parser error: s:1: Missing closing brace");
}

const MEMBERS: &str = "totem {\n version: 2\n transport: udpu\n rrp_mode: passive\n interface {\n  ringnumber: 0\n\
    bindnetaddr: 192.168.5.0\n  member {\n   memberaddr: 192.168.5.10\n  }\n  member {\n   memberaddr: 192.168.5.11\n  }\n\
    member {\n   memberaddr: 192.168.5.12\n  }\n }\n interface {\n  ringnumber: 1\n  bindnetaddr: 10.0.0.0\n\
    member {\n   memberaddr: 10.0.0.1\n  }\n }\n}\n";

#[test]
fn a_member_list_makes_nodes_and_votes() {
    let config = config(&format!("{MEMBERS}{}", plugin(1))).unwrap();
    assert_eq!(startable(&config), Ok(()));
    let nodes: Vec<u32> = config.links[0].members.iter().map(|m| m.node.0 & 0xff).collect();
    assert_eq!(nodes, [10, 11, 12]);
    assert_eq!(config.local.node, config.links[0].members[1].node);
    let quorum = config.quorum.as_ref().unwrap();
    assert_eq!((quorum.expected, quorum.votes), (Expected::Votes(3), 1));
    assert_eq!(config.totem.timing.token_ms, 3650);
    assert!(config.warnings.contains(&"member section is deprecated.".to_owned()));
    assert!(config.warnings.iter().any(|w| w.starts_with("interface 1 is ignored")));
}

#[test]
fn a_network_that_is_not_here_and_an_id_that_cannot_be_made_are_refused() {
    let refused = config(&MULTICAST.replace("192.168.5.0", "192.168.6.0")).unwrap_err();
    let text = "parse error in config: bindnetaddr 192.168.6.0 is no network of this host (c:7)";
    assert_eq!(refused.to_string(), text);
    let refused = config(&MEMBERS.replace("192.168.5.12", "fd00::1")).unwrap_err();
    assert!(refused.reason.contains("node ID be specified for address 'fd00::1'"), "{refused}");
    let config = config(&MULTICAST.replace("threads: 0", "nodeid: 4")).unwrap();
    assert_eq!(config.local.node, Node(4));
}

#[test]
fn knet_is_read_and_refused_at_the_start() {
    let nodes =
        "nodelist {\n node {\n  nodeid: 1\n  name: old\n  ring0_addr: 192.168.5.11\n }\n}\n";
    let implied = config(&format!("totem {{\n version: 2\n}}\n{nodes}")).unwrap();
    let refused = startable(&implied).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "transport knet (which a file without transport means) is not built yet (c:2)"
    );
    let said = config(&format!("totem {{\n version: 2\n transport: knet\n}}\n{nodes}")).unwrap();
    assert_eq!(startable(&said).unwrap_err().to_string(), "transport knet is not built yet (c:3)");
}
