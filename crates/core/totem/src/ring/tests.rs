use super::*;
use crate::message::{CommitEntry, CommitToken};

/// Node 2, gathering with these nodes.
fn gathering(procs: &[u32]) -> Totem {
    let mut totem = Totem::new(Now::default(), Config::new(Node(2)));
    totem.handle(Now::default(), Input::Persisted(PersistId(1)));
    totem.handle(Now::default(), Input::Interface { up: true });
    let proc_list = procs.iter().map(|id| Node(*id)).collect();
    let from = Node(1);
    let join = Join { from, leaving: false, ring_seq: 8, proc_list, failed_list: Vec::new() };
    totem.handle(Now::default(), Input::Datagram(join.encode()));
    assert_eq!(totem.state(), "gather");
    totem
}

/// The state of node 2 after the commit token of a ring of these nodes.
fn after_commit_token(mut totem: Totem, members: &[u32], filled: usize, seq: u64) -> &'static str {
    let entry = CommitEntry { aru: 3, ..CommitEntry::EMPTY };
    let token = CommitToken {
        token_seq: 1,
        ring: RingId { rep: Node(members[0]), seq },
        retrans_flg: 0,
        filled,
        members: members.iter().map(|id| Node(*id)).collect(),
        entries: vec![entry; members.len()],
    };
    let bytes = token.encode(Node(1), Node(2));
    totem.handle(Now::default(), Input::Datagram(bytes));
    totem.state()
}

/// [TOTEM-7] Just the members that were agreed to.
fn only_agreed_members() -> bool {
    let more = after_commit_token(gathering(&[1, 2]), &[1, 2, 3], 1, 12);
    let fewer = after_commit_token(gathering(&[1, 2, 3]), &[1, 2], 1, 12);
    more == "gather" && fewer == "gather"
}

#[test]
fn a_commit_token_is_taken_for_the_agreed_members_only() {
    assert!(only_agreed_members());
    assert_eq!(after_commit_token(gathering(&[1, 2]), &[1, 2], 1, 12), "commit");
}

#[test]
fn a_commit_token_that_lies_is_not_taken() {
    for (members, filled, seq) in [
        (&[1, 2][..], 0, 12),
        (&[1, 2], 2, 12),
        (&[1, 2], 1, 1),
        (&[1, 2, 2], 1, 12),
        (&[1, 2], 1, 1 << 40),
    ] {
        let state = after_commit_token(gathering(&[1, 2]), members, filled, seq);
        assert_eq!(state, "gather", "{members:?} {filled} {seq}");
    }
}

#[cfg(feature = "mutants")]
#[test]
fn planted_mistakes_in_agreement_are_found() {
    for mutant in ["TOTEM-7/remove", "TOTEM-7/weaken"] {
        sansio::mutant::set(Some(mutant));
        let holds = only_agreed_members();
        sansio::mutant::set(None);
        assert!(!holds, "{mutant} survives");
    }
}
