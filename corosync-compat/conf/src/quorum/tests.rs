use crate::quorum::{Expected, TieBreaker};
use crate::{Files, Host, Refused, configure, read, startable};

fn quorum(lines: &str, votes: &[u32]) -> Result<super::Quorum, Refused> {
    let nodes: String = votes
        .iter()
        .zip(1..)
        .map(|(v, n)| {
            format!(
                "node {{\nnodeid: {n}\nname: n{n}\nring0_addr: 10.0.0.{n}\nquorum_votes: {v}\n}}\n"
            )
        })
        .collect();
    let text = format!(
        "totem {{\nversion: 2\ntransport: udpu\n}}\nnodelist {{\n{nodes}}}\n\
         quorum {{\nprovider: corosync_votequorum\n{lines}\n}}\n"
    );
    let host = Host { nodename: "n1".to_owned(), ..Host::default() };
    let config = configure(read(&Files::main("c", text), &host)?, &host)?;
    startable(&config)?;
    Ok(config.quorum.expect("a provider"))
}

#[test]
fn votes_come_from_the_nodelist_unless_set() {
    let q = quorum("", &[2, 1, 1]).unwrap();
    assert_eq!((q.expected, q.votes, q.nodes, q.nodes_votes), (Expected::Votes(4), 2, 3, 4));
    assert!(!q.waits_for_all());
    assert_eq!(quorum("expected_votes: 9", &[1]).unwrap().expected, Expected::Votes(9));
}

#[test]
fn two_nodes_wait_for_all_unless_told_not_to() {
    let q = quorum("two_node: 1", &[1, 1]).unwrap();
    assert!(q.effective_two_node() && q.waits_for_all());
    assert!(!quorum("two_node: 1\nwait_for_all: 0", &[1, 1]).unwrap().waits_for_all());
    assert!(!quorum("two_node: 1\nauto_tie_breaker: 1", &[1, 1]).unwrap().effective_two_node());
    assert!(quorum("allow_downscale: 1", &[1, 1]).unwrap().expected_votes_tracking);
}

#[test]
fn tie_breakers_are_read() {
    let tie = |node: &str| {
        let lines = format!("auto_tie_breaker: 1\nauto_tie_breaker_node: {node}");
        quorum(&lines, &[1, 1]).unwrap().effective_tie_breaker().cloned()
    };
    assert_eq!(tie("lowest"), Some(TieBreaker::Lowest));
    assert_eq!(tie("highest"), Some(TieBreaker::Highest));
    assert_eq!(tie("2 1 x 9"), Some(TieBreaker::List(vec![2, 1])));
    assert_eq!(tie("middle"), None);
    let odd = quorum("auto_tie_breaker: 1", &[1, 1, 1]).unwrap();
    assert_eq!(odd.effective_tie_breaker(), None);
}

#[test]
fn a_device_has_one_vote_less_than_the_nodes_and_few_friends() {
    let q = quorum("device {\nmodel: net\n}", &[1, 1, 1]).unwrap();
    assert_eq!(q.expected, Expected::Votes(5));
    let device = "device {\nmodel: net\n}";
    for (lines, votes, line, reason) in [
        (
            "two_node: 1",
            [1, 1],
            Some(21),
            "two_node and quorum device cannot be configured at the same time!",
        ),
        (
            "last_man_standing: 1",
            [1, 1],
            Some(21),
            "quorum.device is not compatible with last_man_standing",
        ),
        (
            "auto_tie_breaker: 1",
            [1, 1],
            Some(21),
            "quorum.device is not compatible with auto_tie_breaker",
        ),
        (
            "allow_downscale: 1",
            [1, 1],
            Some(21),
            "quorum.device is not compatible with allow_downscale",
        ),
        (
            "expected_votes: 3",
            [1, 1],
            Some(23),
            "quorum.device.votes must be specified when quorum.expected_votes is set",
        ),
        ("", [1, 2], Some(23), "quorum.device.votes must be specified when not all nodes votes 1"),
    ] {
        let refused = quorum(&format!("{lines}\n{device}"), &votes).unwrap_err();
        assert_eq!(refused.reason, format!("configuration error: {reason}"));
        assert_eq!((refused.line, refused.exit_code()), (line, 20), "{refused}");
    }
    let high = quorum("expected_votes: 3\ndevice {\nmodel: net\nvotes: 2\n}", &[1, 1]).unwrap_err();
    assert!(high.reason.ends_with("quorum.device.votes is too high or expected_votes is too low"));
    let odd = quorum("auto_tie_breaker: 1\nlast_man_standing: 1", &[1]).unwrap_err();
    assert!(odd.reason.contains("odd sized cluster"), "{odd}");
}
