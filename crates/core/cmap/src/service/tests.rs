use super::*;

const ME: Conn = Conn(1);
const OTHER: Conn = Conn(2);

struct Bench {
    service: Service,
    store: Store,
    stats: Numbers,
}

#[derive(Default)]
struct Numbers(BTreeMap<String, Value>);

impl Stats for Numbers {
    fn value(&self, key: &str) -> Option<Value> {
        self.0.get(key).cloned()
    }

    fn next(&self, prefix: &str, after: Option<&str>) -> Option<(String, Type)> {
        let (key, value) = self
            .0
            .iter()
            .find(|(k, _)| k.starts_with(prefix) && after.is_none_or(|after| k.as_str() > after))?;
        Some((key.clone(), value.value_type()))
    }
}

impl Bench {
    fn new() -> Self {
        let mut service = Service::new();
        service.accepted(ME);
        service.accepted(OTHER);
        Self { service, store: Store::new(), stats: Numbers::default() }
    }

    fn ask(&mut self, conn: Conn, id: i32, body: Vec<u8>) -> Vec<Output> {
        let frame = Frame { channel: Channel::Request, id, error: 0, body };
        self.service.request(conn, &frame, &mut self.store, &self.stats)
    }

    /// Asks and returns the answer, which comes last.
    fn answer(&mut self, conn: Conn, id: i32, body: Vec<u8>) -> (i32, Vec<u8>) {
        match self.ask(conn, id, body).pop() {
            Some(Output::Send { conn: to, frame }) if to == conn => {
                assert_eq!(frame.channel, Channel::Response);
                assert_eq!(frame.id, Request::response_id(id));
                (frame.error, frame.body)
            }
            other => panic!("no answer but {other:?}"),
        }
    }

    fn status(&mut self, conn: Conn, id: i32, body: Vec<u8>) -> i32 {
        self.answer(conn, id, body).0
    }

    fn keys(&mut self, conn: Conn, prefix: &str) -> Vec<String> {
        let (_, handle) = self.answer(conn, id::ITER_INIT, name(prefix));
        let mut keys = Vec::new();
        loop {
            let (status, body) = self.answer(conn, id::ITER_NEXT, handle.clone());
            assert_eq!(body.len(), 280);
            if status != Status::Ok.code() {
                assert_eq!(status, Status::NoSections.code());
                break;
            }
            let len = usize::from(body[0]);
            keys.push(String::from_utf8(body[8..8 + len].to_vec()).unwrap());
        }
        assert_eq!(self.status(conn, id::ITER_FINALIZE, handle), 1);
        keys
    }
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = vec![0; 264];
    bytes[0] = u8::try_from(text.len()).unwrap();
    bytes[8..8 + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn with(mut bytes: Vec<u8>, parts: &[&[u8]]) -> Vec<u8> {
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

fn set(key: &str, number: u8, len: u64, value: &[u8]) -> Vec<u8> {
    with(name(key), &[&len.to_le_bytes(), &u64::from(number).to_le_bytes(), value])
}

fn track(key: &str, wanted: i32, instance: u64) -> Vec<u8> {
    with(name(key), &[&i64::from(wanted).to_le_bytes(), &instance.to_le_bytes()])
}

#[test]
fn a_value_that_is_set_is_read_back() {
    let mut bench = Bench::new();
    assert_eq!(bench.answer(ME, id::SET, set("a.key", 11, 4, b"ring")), (1, vec![]));
    let get = |room: u64| with(name("a.key"), &[&room.to_le_bytes()]);
    let size = with(5u64.to_le_bytes().to_vec(), &[&11u64.to_le_bytes()]);
    assert_eq!(bench.answer(ME, id::GET, get(0)), (1, size.clone()));
    assert_eq!(bench.answer(ME, id::GET, get(5)), (1, with(size.clone(), &[b"ring\0"])));
    assert_eq!(bench.answer(ME, id::GET, get(7)), (1, with(size, &[b"ring\0\0\0"])));
    assert_eq!(bench.answer(ME, id::GET, get(4)), (7, vec![0; 16]));
    assert_eq!(bench.answer(ME, id::GET, get(u64::MAX)), (8, vec![0; 16]));
    assert_eq!(bench.status(ME, id::GET, with(name("none"), &[&[0; 8]])), 12);
    assert_eq!(bench.status(ME, id::DELETE, name("a.key")), 1);
    assert_eq!(bench.status(ME, id::DELETE, name("a.key")), 12);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut bench = Bench::new();
    bench.store.set_read_only("ro.", true, true).unwrap();
    assert_eq!(bench.status(ME, id::SET, set("ro.x", 2, 1, &[1])), 11);
    assert_eq!(bench.status(ME, id::DELETE, name("ro.x")), 11);
    assert_eq!(bench.status(ME, id::ADJUST, with(name("ro.x"), &[&[1; 8]])), 11);
    assert_eq!(bench.status(ME, id::SET, set("a", 2, 1, &[1])), 13);
    assert_eq!(bench.status(ME, id::SET, set("a key", 2, 1, &[1])), 13);
    assert_eq!(bench.status(ME, id::SET, set("a.key", 0, 0, &[])), 7);
    assert_eq!(bench.status(ME, id::SET, set("a.key", 6, 2, &[1, 2])), 7);
    assert_eq!(bench.status(ME, id::SET, set("a.key", 12, 1 << 40, &[1, 2])), 7);
    assert_eq!(bench.status(ME, id::SET, vec![0; 20]), 7);
    assert_eq!(bench.answer(ME, id::ITER_NEXT, vec![9; 8]), (9, vec![0; 280]));
    assert_eq!(bench.status(ME, id::ITER_FINALIZE, vec![9; 8]), 9);
    assert_eq!(bench.status(ME, id::TRACK_DELETE, vec![9; 8]), 9);
    assert_eq!(bench.status(ME, id::TRACK_ADD, track("a.key", 16, 1)), 7);
    assert_eq!(bench.ask(ME, 11, vec![]), []);
    assert_eq!(bench.ask(ME, -1, vec![]), []);
    assert_eq!(bench.ask(Conn(9), id::DELETE, name("a.key")), []);
}

#[test]
fn iterations_see_their_prefix_in_order() {
    let mut bench = Bench::new();
    for key in ["b.2", "a.10", "a.1", "c.1"] {
        bench.status(ME, id::SET, set(key, 2, 1, &[1]));
    }
    assert_eq!(bench.keys(ME, ""), ["a.1", "a.10", "b.2", "c.1"]);
    assert_eq!(bench.keys(OTHER, "a."), ["a.1", "a.10"]);
}

#[test]
fn trackers_hear_before_the_answer_and_until_they_stop() {
    let mut bench = Bench::new();
    let (_, handle) = bench.answer(OTHER, id::TRACK_ADD, track("a.", 15, 77));
    let inner = bench.store.track(Some("a.key"), 7).unwrap();
    let outputs = bench.ask(ME, id::SET, set("a.key", 2, 1, &[5]));
    let [Output::Tell(notice), Output::Send { conn, frame }, Output::Send { conn: ME, .. }] =
        outputs.as_slice()
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((notice.tracker, *conn, frame.id, frame.error), (inner, OTHER, 9, 1));
    let mut expected = 77u64.to_le_bytes().to_vec();
    expected.extend(name("a.key"));
    for field in [4u64, 2, 0, 1, 0] {
        expected.extend(field.to_le_bytes());
    }
    expected.push(5);
    assert_eq!(frame.body, expected);
    bench.store.untrack(inner).unwrap();
    assert_eq!(bench.ask(ME, id::SET, set("a.key", 2, 1, &[5])).len(), 1, "no change");
    let outputs = bench.ask(ME, id::ADJUST, with(name("a.key"), &[&(-6i64).to_le_bytes()]));
    let Output::Send { frame, .. } = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!(frame.body[312..], [255, 5], "the new value, then the old one");
    assert_eq!(bench.answer(OTHER, id::TRACK_DELETE, handle), (1, 77u64.to_le_bytes().to_vec()));
    assert_eq!(bench.ask(ME, id::DELETE, name("a.key")).len(), 1);
}

#[test]
fn a_client_that_goes_takes_its_trackers_along() {
    let mut bench = Bench::new();
    bench.status(OTHER, id::TRACK_ADD, track("", 15, 1));
    assert_eq!(bench.ask(ME, id::SET, set("a.key", 2, 1, &[5])).len(), 2);
    bench.service.closed(OTHER, &mut bench.store);
    assert_eq!(bench.ask(ME, id::DELETE, name("a.key")).len(), 1);
    assert_eq!(bench.store.untrack(Tracker(0)), Err(Status::NotExist));
}

#[test]
fn the_map_of_statistics_is_read_only_but_can_be_cleared() {
    let mut bench = Bench::new();
    bench.stats.0.insert("stats.srp.mcast_tx".to_owned(), Value::U64(3));
    bench.stats.0.insert("stats.ipcs.service0.1.2.procname".to_owned(), Value::text("x"));
    let stats_map = 1i64.to_le_bytes().to_vec();
    let (_, handle) = bench.answer(ME, id::ITER_INIT, name(""));
    assert_eq!(bench.status(ME, id::SET_MAP, stats_map.clone()), 10, "busy");
    bench.status(ME, id::ITER_FINALIZE, handle);
    assert_eq!(bench.status(ME, id::SET_MAP, 2i64.to_le_bytes().to_vec()), 12);
    assert_eq!(bench.status(ME, id::SET_MAP, stats_map), 1);
    assert_eq!(bench.keys(ME, "stats.s"), ["stats.srp.mcast_tx"]);
    assert_eq!(bench.status(ME, id::SET, set("stats.srp.mcast_tx", 8, 8, &[0; 8])), 11);
    assert_eq!(bench.status(ME, id::SET, set("stats.clear.none", 2, 1, &[1])), 19);
    let outputs = bench.ask(ME, id::SET, set("stats.clear.all", 2, 1, &[1]));
    assert_eq!(outputs[0], Output::Clear(Clear::All));
    assert_eq!(bench.status(ME, id::DELETE, name("stats.clear.all")), 19);
    assert_eq!(bench.status(ME, id::TRACK_ADD, track("stats.", 8 | 4, 1)), 19);
    assert_eq!(bench.status(ME, id::TRACK_ADD, track("stats.srp.mcast_tx", 2, 7)), 1);
    assert_eq!(bench.service.poll_stats(&bench.stats), []);
    bench.stats.0.insert("stats.srp.mcast_tx".to_owned(), Value::U64(4));
    assert_eq!(bench.service.poll_stats(&bench.stats).len(), 1);
    assert_eq!(bench.service.poll_stats(&bench.stats), []);
    assert_eq!(bench.status(ME, id::TRACK_ADD, track("stats.ipcs.", 8 | 4 | 1, 8)), 1);
    let value = Value::U32(0);
    let told = |key| bench.service.stats_key_changed(Event::Add, key, &value).len();
    assert_eq!((told("stats.ipcs.service0.5.6.sent"), told("stats.knet.handle.x")), (1, 0));
}

#[test]
fn open_handles_are_bounded() {
    let mut bench = Bench::new();
    for _ in 0..MAX_OPEN {
        assert_eq!(bench.status(ME, id::ITER_INIT, name("")), 1);
        assert_eq!(bench.status(ME, id::TRACK_ADD, track("never", 7, 1)), 1);
    }
    assert_eq!(bench.status(ME, id::ITER_INIT, name("")), 18);
    assert_eq!(bench.status(ME, id::TRACK_ADD, track("never", 7, 1)), 18);
    assert_eq!(bench.status(OTHER, id::ITER_INIT, name("")), 1);
}

#[test]
fn random_requests_never_panic() {
    let mut rng = sansio::Rng::new(11);
    let mut bench = Bench::new();
    for _ in 0..30_000 {
        let len = usize::try_from(rng.below(300)).unwrap();
        let mut body: Vec<u8> = (0..len).map(|_| rng.below(256).to_le_bytes()[0]).collect();
        if rng.below(2) == 0 && len > 264 {
            body[..264].copy_from_slice(&name(["a.key", "b.key", "abc"][len % 3]));
        }
        let id = i32::try_from(rng.below(12)).unwrap();
        bench.ask(ME, id, body);
    }
    assert!(bench.store.iter().all(|(key, _)| crate::name::is_valid(key)));
}
