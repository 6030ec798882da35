//! The same refusals in the same words.

use crate::reference::Folder;

const GOOD: &str = "totem {\n version: 2\n transport: udpu\n}\n\
                    nodelist {\n node {\n  nodeid: 1\n  name: alpha\n  ring0_addr: 10.7.0.1\n }\n}\n";

/// A good file with a section more at its end; line 12 is its first.
fn with(section: &str) -> String {
    format!("{GOOD}{section}")
}

fn refused_alike(conf: &str, line: u32) {
    let folder = Folder::new(conf);
    let refused = folder.ours().expect_err(conf);
    let (text, exit_code) = folder.tested_by_reference();
    let words = refused.reference_text();
    assert!(text.contains(&words), "we say {words:?}, the reference\n{text}\nof\n{conf}");
    assert_eq!(i32::from(refused.exit_code()), exit_code, "{text}");
    assert_eq!(refused.line, (line > 0).then_some(line), "{refused} of\n{conf}");
    let place = if line > 0 { format!("{}:{line}", folder.conf()) } else { folder.conf() };
    assert!(refused.to_string().contains(&place), "{refused}");
}

#[test]
fn a_good_file_passes_both() {
    let folder = Folder::new(GOOD);
    assert_eq!(folder.tested_by_reference().1, 0);
    let config = folder.ours().expect("a good file");
    assert_eq!(corosync_conf::verdict::Verdict::of(Ok(&config)).exit_code, 0);
}

#[test]
fn values_of_known_keys() {
    for (section, line) in [
        ("totem {\n token: abc\n}\n", 13),
        ("totem {\n token: 4294967296\n}\n", 13),
        ("totem {\n token: -1\n}\n", 13),
        ("totem {\n knet_compression_level: 2147483648\n}\n", 13),
        ("totem {\n crypto_cipher: rot13\n}\n", 13),
        ("totem {\n crypto_hash: crc\n}\n", 13),
        ("totem {\n crypto_model: none\n}\n", 13),
        ("totem {\n knet_compression_model: arj\n}\n", 13),
        ("totem {\n ip_version: 4\n}\n", 13),
        ("totem {\n interface {\n  mcastport: 65536\n }\n}\n", 14),
        ("totem {\n interface {\n  ttl: 256\n }\n}\n", 14),
        ("totem {\n interface {\n  member {\n   name: x\n  }\n }\n}\n", 15),
        ("quorum {\n expected_votes: many\n}\n", 13),
        ("quorum {\n two_node: 256\n}\n", 13),
        ("quorum {\n device {\n  votes: x\n }\n}\n", 14),
        ("nodelist {\n node {\n  nodeid: x\n }\n}\n", 14),
        ("system {\n qb_ipc_type: pipe\n}\n", 13),
        ("system {\n sched_rr: 1\n}\n", 13),
        ("system {\n move_to_root_cgroup: maybe\n}\n", 13),
        ("system {\n allow_knet_handle_fallback: 1\n}\n", 13),
        ("logging {\n logger_subsys {\n  debug: on\n }\n}\n", 15),
        ("logging {\n logging_daemon {\n  debug: on\n }\n}\n", 15),
        ("uidgid {\n uid: nosuchuser\n}\n", 13),
        ("uidgid {\n gid: nosuchgroup\n}\n", 13),
        ("uidgid {\n pid: 1\n}\n", 13),
        ("a b: 1\n", 12),
        ("x: 1\n", 12),
        ("nonsense\n", 12),
        ("totem {\n", 12),
        ("}\n", 12),
        ("totem { x\n", 12),
        ("totem {\n} x\n", 13),
        (" {\n}\n", 12),
    ] {
        refused_alike(&with(section), line);
    }
}

#[test]
fn values_that_make_no_cluster() {
    for (section, line) in [
        ("totem {\n token: 29\n}\n", 13),
        ("totem {\n token: 100\n}\n", 13),
        ("totem {\n token_retransmit: 29\n}\n", 13),
        ("totem {\n hold: 13\n}\n", 13),
        ("totem {\n join: 29\n}\n", 13),
        ("totem {\n consensus: 29\n}\n", 13),
        ("totem {\n consensus: 100\n join: 101\n}\n", 13),
        ("totem {\n merge: 29\n}\n", 13),
        ("totem {\n downcheck: 29\n}\n", 13),
        ("totem {\n max_network_delay: 29\n}\n", 13),
        ("totem {\n token_warning: 101\n}\n", 13),
        ("totem {\n token_warning: 4294967295\n}\n", 13),
        ("totem {\n version: 1\n}\n", 13),
        ("totem {\n link_mode: fast\n}\n", 13),
        ("totem {\n transport: carrier\n}\n", 13),
        ("totem {\n interface {\n  ttl: 2\n }\n}\n", 14),
        ("totem {\n interface {\n  knet_link_priority: 2\n }\n}\n", 14),
        ("totem {\n interface {\n  knet_transport: tcp\n }\n}\n", 14),
        ("totem {\n interface {\n  linknumber: 1\n  mcastport: 6000\n }\n}\n", 0),
        ("totem {\n interface {\n  linknumber: 8\n  mcastport: 6000\n }\n}\n", 15),
        ("totem {\n crypto_cipher: aes256\n}\n", 13),
        ("totem {\n transport: udp\n}\n", 0),
        ("totem {\n transport: udp\n interface {\n  mcastaddr: 10.0.0.1\n }\n}\n", 15),
    ] {
        refused_alike(&with(section), line);
    }
}

#[test]
fn nodes_that_make_no_cluster() {
    let list = |transport: &str, nodes: &str| {
        format!("totem {{\n version: 2\n {transport}\n}}\nnodelist {{\n{nodes}}}\n")
    };
    for (transport, nodes, line) in [
        ("transport: udpu", "", 0),
        ("transport: udpu", "node {\nnodeid: 1\nring0_addr: 10.7.0.9\n}\n", 0),
        (
            "transport: udpu",
            "node {\nnodeid: 1\nring0_addr: 10.7.0.1\n}\nnode {\nnodeid: 1\nring0_addr: 10.7.0.2\n}\n",
            11,
        ),
        ("transport: udpu", "node {\nring0_addr: fd07::1\n}\n", 7),
        (
            "transport: udpu",
            "node {\nnodeid: 1\nring0_addr: 10.7.0.1\n}\nnode {\nnodeid: 2\nring0_addr: 10.7.0.999\n}\n",
            12,
        ),
        (
            "transport: udpu",
            "node {\nnodeid: 1\nring0_addr: 10.7.0.1\n}\nnode {\nnodeid: 2\nring0_addr: fd07::2\n}\n",
            0,
        ),
        (
            "transport: udpu",
            "node {\nnodeid: 1\nname: a\nring0_addr: 10.7.0.1\nring1_addr: 10.8.0.1\n}\n",
            10,
        ),
        ("transport: knet", "node {\nring0_addr: 10.7.0.1\n}\n", 7),
        ("transport: knet", "node {\nnodeid: 65536\nring0_addr: 10.7.0.1\n}\n", 8),
        (
            "transport: knet",
            "node {\nnodeid: 1\nring0_addr: 10.7.0.1\nring1_addr: 10.8.0.1\n}\n",
            8,
        ),
        (
            "transport: knet",
            "node {\nnodeid: 1\nring0_addr: 10.7.0.1\nring8_addr: 10.8.0.1\n}\n",
            9,
        ),
    ] {
        refused_alike(&list(transport, nodes), line);
    }
}

#[test]
fn values_of_the_logging_section() {
    for (lines, line) in [
        ("debug: maybe", 13),
        ("timestamp: yes", 13),
        ("fileline: 1", 13),
        ("function_name: 1", 13),
        ("blackbox: 1", 13),
        ("to_stderr: 1", 13),
        ("to_logfile: 1", 13),
        ("to_syslog: maybe", 13),
        ("syslog_facility: none", 13),
        ("syslog_priority: loud", 13),
        ("logfile_priority: loud", 13),
        ("logger_subsys {\n  subsys: QUORUM\n  debug: 1\n }", 15),
    ] {
        refused_alike(&with(&format!("logging {{\n {lines}\n}}\n")), line);
    }
}
