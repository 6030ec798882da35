use super::*;

fn with_version(version: u64) -> Store {
    let mut store = Store::new();
    store.set(CONFIG_VERSION, Value::U64(version)).unwrap();
    store
}

#[test]
fn the_message_is_laid_out_as_the_reference_sends_it() {
    let bytes = Message::of(&with_version(0x0102), Reason::Sync).encode();
    assert_eq!(bytes.len(), 48 + 280 + 8);
    assert_eq!(bytes[8..12], 336i32.to_le_bytes());
    assert_eq!((bytes[16], bytes[24]), (0, 1));
    assert_eq!(bytes[48..50], 20u16.to_le_bytes());
    assert_eq!(&bytes[56..76], CONFIG_VERSION.as_bytes());
    assert_eq!(bytes[312], 8, "the type of a u64");
    assert_eq!(bytes[320..328], 8u64.to_le_bytes());
    assert_eq!(bytes[328..336], 0x0102u64.to_le_bytes());
    let none = Message::of(&Store::new(), Reason::NewVersion);
    let bytes = none.encode();
    assert_eq!((bytes.len(), bytes[16], bytes[312]), (48 + 280, 1, 0));
    assert_eq!(Message::decode(&bytes, false), Ok(none));
}

#[test]
fn a_peer_of_the_other_byte_order_is_understood() {
    let message = Message::of(&with_version(0x0102), Reason::Sync);
    let mut bytes = message.encode();
    for range in [48..50, 320..328, 328..336] {
        bytes[range].reverse();
    }
    assert_eq!(Message::decode(&bytes, true), Ok(message));
}

#[test]
fn hostile_messages_are_refused() {
    let good = Message::of(&with_version(7), Reason::Sync).encode();
    for len in 0..good.len() {
        assert!(Message::decode(&good[..len], false).is_err(), "{len} bytes");
    }
    for (at, byte) in [(24, 33), (48, 0xff), (49, 0xff), (320, 9), (327, 0xff), (56, 0xff)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(Message::decode(&bad, false).is_err(), "byte {at}");
    }
    let mut rng = sansio::Rng::new(7);
    for _ in 0..20_000 {
        let mut bad = good.clone();
        for _ in 0..=rng.below(4) {
            let at = usize::try_from(rng.below(bad.len() as u64)).unwrap();
            bad[at] = rng.below(256).to_le_bytes()[0];
        }
        let _ = Message::decode(&bad, rng.below(2) == 0);
    }
}

#[test]
fn an_old_file_ends_the_daemon_once_and_only_when_others_are_newer() {
    let me = Node(1);
    let sync = |mine: u64, others: &[u64], came_along| {
        let mut store = with_version(mine);
        let mut check = VersionCheck::new();
        check.begin(&store, came_along);
        for (version, node) in others.iter().zip(2..) {
            let message = Message::of(&with_version(*version), Reason::Sync);
            check.received(&mut store, me, Node(node), &message);
        }
        (check.activate(), store)
    };
    let (verdict, store) = sync(3, &[3, 5, 4], 1);
    let text = "Received config version (5) is different than my config version (3)! Exiting";
    assert_eq!(verdict, Verdict::Exit(text.to_owned()));
    assert_eq!(store.value("runtime.members.3.config_version"), Some(&Value::U64(5)));
    for (mine, others, came_along) in
        [(5, [3, 5], 1), (0, [3, 5], 1), (3, [5, 5], 0), (9, [3, 5], 1)]
    {
        assert_eq!(sync(mine, &others, came_along).0, Verdict::Stay, "{mine}");
    }
}

#[test]
fn only_the_first_synchronization_with_others_counts() {
    let mut store = with_version(3);
    let mut check = VersionCheck::new();
    let newer = Message::of(&with_version(4), Reason::Sync);
    for (came_along, fatal) in [(0, false), (1, true), (1, false)] {
        check.begin(&store, came_along);
        check.received(&mut store, Node(1), Node(2), &newer);
        assert_eq!(matches!(check.activate(), Verdict::Exit(_)), fatal);
    }
}

#[test]
fn what_a_node_hears_of_itself_is_kept_but_not_compared() {
    let mut store = with_version(3);
    let mut check = VersionCheck::new();
    check.begin(&store, 1);
    check.received(&mut store, Node(1), Node(1), &Message::of(&with_version(9), Reason::Sync));
    assert_eq!(check.activate(), Verdict::Stay);
    assert_eq!(store.value("runtime.members.1.config_version"), Some(&Value::U64(9)));
}
