use super::*;

fn ring(seq: u64) -> RingId {
    RingId { rep: Node(1), seq }
}

fn place() -> Place {
    let ring = ring(0x1122);
    Place { node: Node(2), ring, seq: 7, number: 3, safe: true, encapsulated: false }
}

/// One of each, as this crate writes them.
pub(crate) fn samples() -> Vec<Bytes> {
    let token = OrfToken {
        seq: 9,
        token_seq: 8,
        aru: 7,
        aru_addr: 2,
        ring: ring(12),
        backlog: 5,
        fcc: 4,
        retrans_flg: true,
        retransmits: vec![RetransmitItem { ring: ring(12), seq: 8 }; 2],
    };
    let commit = CommitToken {
        token_seq: 1,
        ring: ring(16),
        retrans_flg: 0,
        filled: 1,
        members: vec![Node(1), Node(2)],
        entries: vec![
            CommitEntry { ring: ring(12), aru: 3, high_delivered: 2, received: true },
            CommitEntry::EMPTY,
        ],
    };
    let join = Join {
        from: Node(2),
        leaving: false,
        ring_seq: 12,
        proc_list: vec![Node(1), Node(2)],
        failed_list: vec![Node(3)],
    };
    vec![
        token.encode(Node(1), Node(2)),
        Mcast::compose(&place(), 5, |raw| raw.extend_from_slice(b"hello")).raw,
        MergeDetect { from: Node(1), ring: ring(12) }.encode(),
        join.encode(),
        Join { leaving: true, ..join }.encode(),
        commit.encode(Node(1), Node(2)),
        HoldCancel { ring: ring(12) }.encode(Node(3)),
    ]
}

/// The same message as a big-endian node would write it: each field's bytes
/// reversed, by the widths of its layout.
fn swap(bytes: &[u8]) -> Bytes {
    const HEADER: &[usize] = &[2, 1, 1, 1, 4, 4];
    let ring = [4, 8];
    let mut widths = HEADER.to_vec();
    match bytes[3] {
        ORF_TOKEN => {
            widths.extend([4, 4, 4, 4, 4, 8, 4, 4, 4, 4]);
            widths.extend([4, 8, 4, 4, 8, 4]);
        }
        MCAST => widths.extend([4, 4, 4, 4, 8, 4, 4]),
        MERGE_DETECT => widths.extend([4, 4, 8]),
        JOIN => widths.extend([4, 4, 4, 8, 4, 4, 4]),
        COMMIT_TOKEN => {
            widths.extend([4, 4, 8, 4, 4, 4, 4, 4]);
            widths.extend([4, 8, 4, 4, 4].repeat(2));
        }
        _ => widths.extend(ring),
    }
    let mut swapped = bytes.to_vec();
    let mut at = 0;
    for width in widths {
        swapped[at..at + width].reverse();
        at += width;
    }
    swapped.into()
}

#[test]
fn what_is_encoded_is_decoded() {
    let kinds: Vec<Message> = samples().iter().map(|b| Message::decode(b).unwrap()).collect();
    let Message::Token(token) = &kinds[0] else { panic!("{:?}", kinds[0]) };
    assert_eq!((token.seq, token.aru_addr, token.retransmits.len()), (9, 2, 2));
    assert_eq!(token.encode(Node(1), Node(2)), samples()[0]);
    let Message::Mcast(mcast) = &kinds[1] else { panic!("{:?}", kinds[1]) };
    assert_eq!((mcast.seq, mcast.safe, mcast.content().as_ref()), (7, true, &b"hello"[..]));
    let Message::Join(leave) = &kinds[4] else { panic!("{:?}", kinds[4]) };
    assert_eq!((leave.from, leave.leaving), (Node(2), true));
    let Message::Commit(commit) = &kinds[5] else { panic!("{:?}", kinds[5]) };
    assert_eq!(commit.encode(Node(1), Node(2)), samples()[5]);
}

/// The layouts, spelled out: lengths and the places of the fields [TOTEM-1].
#[test]
fn layouts_are_those_of_the_reference() {
    let lengths: Vec<usize> = samples().iter().map(Bytes::len).collect();
    assert_eq!(lengths, [57 + 2 * 16, 45 + 5, 29, 33 + 3 * 4, 33 + 3 * 4, 41 + 2 * 28, 25]);
    let mcast = &samples()[1];
    assert_eq!(mcast[..5], [0x70, 0xC0, 3, 1, 2]);
    assert_eq!(mcast[5..13], [2, 0, 0, 0, 0, 0, 0, 0], "node, target");
    assert_eq!(mcast[13..25], [2, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0], "from, seq, number");
    assert_eq!(mcast[25..37], [1, 0, 0, 0, 0x22, 0x11, 0, 0, 0, 0, 0, 0], "ring");
    assert_eq!(mcast[37..45], [0, 0, 0, 0, 1, 0, 0, 0], "spare, guarantee");
}

#[test]
fn the_other_byte_order_means_the_same() {
    for bytes in samples() {
        let (ours, theirs) = (Message::decode(&bytes).unwrap(), Message::decode(&swap(&bytes)));
        match (ours, theirs.unwrap()) {
            (Message::Mcast(ours), Message::Mcast(theirs)) => {
                assert!(theirs.swapped && !ours.swapped);
                assert_eq!(Mcast { swapped: false, raw: ours.raw.clone(), ..theirs }, ours);
            }
            (ours, theirs) => assert_eq!(ours, theirs),
        }
    }
}

/// [TOTEM-2] Nothing but the exact length is taken, except that an ordered
/// message's content has any length.
#[test]
fn shorter_and_longer_messages_are_refused() {
    for bytes in samples() {
        let ordered = bytes[3] == MCAST;
        for len in 0..bytes.len() {
            let cut = Message::decode(&bytes.slice(..len));
            assert_eq!(cut.is_ok(), ordered && len >= MCAST_LEN, "type {} cut to {len}", bytes[3]);
        }
        let longer: Bytes = [&bytes[..], &[0]].concat().into();
        assert_eq!(Message::decode(&longer).is_ok(), ordered, "type {}", bytes[3]);
    }
}

#[test]
fn counts_that_wrap_are_refused() {
    let offsets = [(0, 53), (3, 17), (3, 21), (5, 33), (5, 37)];
    for (sample, at) in offsets {
        for count in [u32::MAX, 1 << 31, 0x4000_0000, 0x1000_0001, 385] {
            let mut bytes = samples()[sample].to_vec();
            bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
            assert!(Message::decode(&bytes.into()).is_err(), "sample {sample} at {at}: {count}");
        }
    }
}

#[test]
fn foreign_magic_version_and_type_are_refused() {
    for (at, value) in [(0, 0xff), (2, 2), (3, 6), (3, 0xff)] {
        let mut bytes = samples()[0].to_vec();
        bytes[at] = value;
        assert!(Message::decode(&bytes.into()).is_err());
    }
}
