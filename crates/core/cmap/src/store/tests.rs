use super::*;

fn notices(store: &mut Store) -> Vec<Notice> {
    std::iter::from_fn(|| store.poll_notice()).collect()
}

fn keys(store: &Store, prefix: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    while let Some((key, _)) = store.next(prefix, found.last().map(String::as_str)) {
        found.push(key.to_owned());
    }
    found
}

#[test]
fn keys_come_in_the_order_of_their_bytes() {
    let mut store = Store::new();
    for key in ["b.2", "b.10", "b.1", "B.x", "b", "b_x", "a/b", "ab:", "b.1.x"] {
        let outcome = store.set(key, Value::U8(1));
        assert_eq!(outcome.is_ok(), key.len() >= name::MIN_LEN, "{key}");
    }
    assert_eq!(keys(&store, ""), ["B.x", "a/b", "ab:", "b.1", "b.1.x", "b.10", "b.2", "b_x"]);
    assert_eq!(keys(&store, "b.1"), ["b.1", "b.1.x", "b.10"]);
    assert!(keys(&store, "c").is_empty());
}

#[test]
fn an_iteration_outlives_the_keys_it_stands_on() {
    let mut store = Store::new();
    for key in ["k.1", "k.2", "k.3"] {
        store.set(key, Value::U8(1)).unwrap();
    }
    let mut seen = Vec::new();
    while let Some((key, _)) = store.next("k.", seen.last().map(String::as_str)) {
        let key = key.to_owned();
        store.delete(&key).unwrap();
        seen.push(key);
    }
    assert_eq!(seen, ["k.1", "k.2", "k.3"]);
    assert_eq!(store.iter().count(), 0);
}

#[test]
fn the_same_value_again_is_no_change() {
    let mut store = Store::new();
    let tracker = store.track(Some("key"), 7).unwrap();
    store.set("key", Value::U32(1)).unwrap();
    store.set("key", Value::U32(1)).unwrap();
    store.set("key", Value::U64(1)).unwrap();
    store.adjust("key", 0).unwrap();
    store.delete("key").unwrap();
    let told: Vec<_> = notices(&mut store).into_iter().map(|n| (n.event, n.old, n.new)).collect();
    let (small, large) = (Some(Value::U32(1)), Some(Value::U64(1)));
    assert_eq!(
        told,
        [
            (Event::Add, None, small.clone()),
            (Event::Modify, small, large.clone()),
            (Event::Delete, large, None),
        ]
    );
    store.untrack(tracker).unwrap();
    store.set("key", Value::U32(2)).unwrap();
    assert_eq!(notices(&mut store), []);
    assert_eq!(store.untrack(tracker), Err(Status::NotExist));
}

#[test]
fn trackers_hear_what_they_asked_for_nearest_first() {
    let mut store = Store::new();
    let everything = store.track(None, 7 | PREFIX).unwrap();
    let everything_too = store.track(None, 7 | PREFIX).unwrap();
    let nothing = store.track(None, 7).unwrap();
    let below = store.track(Some("run.a"), 7 | PREFIX).unwrap();
    let below_too = store.track(Some("run.a"), 4 | PREFIX).unwrap();
    let exact = store.track(Some("run.ab"), 7).unwrap();
    let exact_too = store.track(Some("run.ab"), 7).unwrap();
    let deeper = store.track(Some("run.ab"), 7 | PREFIX).unwrap();
    let deletions = store.track(Some("run.ab"), 1).unwrap();
    store.set("run.ab", Value::U8(1)).unwrap();
    let told: Vec<_> = notices(&mut store).into_iter().map(|n| n.tracker).collect();
    assert_eq!(told, [exact_too, exact, deeper, below, below_too, everything_too, everything]);
    store.delete("run.ab").unwrap();
    let told: Vec<_> = notices(&mut store).into_iter().map(|n| n.tracker).collect();
    assert_eq!(told[0], deletions);
    assert!(!told.contains(&nothing) && !told.contains(&below_too));
    assert_eq!(store.track(None, 16), Err(Status::InvalidParam));
}

#[test]
fn counting_tells_no_old_value() {
    let mut store = Store::new();
    store.set("stat.tx", Value::U64(1)).unwrap();
    store.set("stat.name", Value::text("x")).unwrap();
    store.track(Some("stat."), 7 | PREFIX).unwrap();
    store.count("stat.tx", 2).unwrap();
    let told = notices(&mut store);
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].old, &told[0].new), (&None, &Some(Value::U64(3))));
    assert_eq!(store.count("stat.name", 1), Err(Status::InvalidParam));
    assert_eq!(store.adjust("stat.name", 1), Err(Status::InvalidParam));
    assert_eq!(store.adjust("stat.none", 1), Err(Status::NotExist));
    assert_eq!(store.delete("stat.none"), Err(Status::NotExist));
}

#[test]
fn read_only_is_by_key_and_by_prefix() {
    let mut store = Store::new();
    store.set_read_only("system.", true, true).unwrap();
    store.set_read_only("totem.version", false, true).unwrap();
    assert!(store.is_read_only("system.priority") && store.is_read_only("totem.version"));
    assert!(!store.is_read_only("totem.versions") && !store.is_read_only("system"));
    assert_eq!(store.set_read_only("system.", true, true), Err(Status::Exist));
    store.set_read_only("system.", true, false).unwrap();
    assert!(!store.is_read_only("system.priority"));
    assert_eq!(store.set_read_only("system.", true, false), Err(Status::NotExist));
}
