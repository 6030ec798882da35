use corosync_conf::{Files, Host, Interface};
use observe::Event;
use sansio::edge::{Channel, Credentials, Who};
use sansio::{run_due, step};

use super::*;

const CONF: &str = "totem {\n version: 2\n transport: udpu\n}\n\
    nodelist {\n node {\n  nodeid: 1\n  name: one\n  ring0_addr: 10.0.0.1\n }\n}\n\
    quorum {\n provider: corosync_votequorum\n}\n";

fn reading(text: &str) -> Reading {
    let address = "10.0.0.1".parse().unwrap();
    let interface = Interface { address, prefix_len: 24, name: None };
    let host = Host { nodename: "one".into(), interfaces: vec![interface], ..Host::default() };
    Reading { files: Files::main("corosync.conf", text), host, keys_differ: false }
}

fn setup(text: &str) -> Setup {
    Setup { reading: reading(text), stored_ring_id: None, stored_votes: None, seed: 1 }
}

/// One node with a disk that takes everything at once.
struct Node1 {
    core: Membership,
    now: Now,
    said: Vec<Output<NoJob>>,
}

impl Node1 {
    fn new() -> Self {
        let now = Now { mono: Mono(1), ..Now::default() };
        let core = Membership::new(now, setup(CONF)).unwrap();
        let mut this = Self { core, now, said: Vec::new() };
        let outputs: Vec<_> = std::iter::from_fn(|| this.core.poll_output()).collect();
        this.take(outputs);
        this
    }

    fn take(&mut self, outputs: Vec<Output<NoJob>>) {
        for output in outputs {
            let persisted = match &output {
                Output::Persist { id, .. } => Some(*id),
                _ => None,
            };
            self.said.push(output);
            if let Some(id) = persisted {
                self.input(Input::Persisted(id));
            }
        }
    }

    fn input(&mut self, input: Input<NoJob>) {
        let outputs = step(&mut self.core, self.now, input);
        self.take(outputs);
    }

    /// Lets a second of the node's time pass, deadline by deadline.
    fn run(&mut self) {
        let end = self.now.mono + Duration::from_secs(1);
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now.mono = at.max(self.now.mono);
            let outputs = run_due(&mut self.core, self.now);
            self.take(outputs);
        }
        self.now.mono = end;
    }

    fn request(&mut self, conn: Conn, id: i32, body: Vec<u8>) {
        self.input(Input::Frame {
            conn,
            frame: Frame { channel: Channel::Request, id, error: 0, body },
        });
    }

    fn answers(&self, to: Conn) -> Vec<(i32, i32)> {
        let answers = self.said.iter().filter_map(|output| match output {
            Output::Frame { conn, frame } if *conn == to && frame.channel == Channel::Response => {
                Some((frame.id, frame.error))
            }
            _ => None,
        });
        answers.collect()
    }
}

fn running() -> Node1 {
    let mut node = Node1::new();
    node.run();
    node
}

#[test]
fn a_node_alone_forms_a_ring_and_becomes_quorate() {
    let node = running();
    assert!(node.core.services().is_quorate());
    let place = |wanted: &dyn Fn(&Output<NoJob>) -> bool| node.said.iter().position(wanted);
    let up = place(&|o| *o == Output::Observe(Event::RingUp)).unwrap();
    let stored =
        place(&|o| matches!(o, Output::Persist { name, .. } if name == "ringid_1")).unwrap();
    let view = place(&|o| matches!(o, Output::Observe(Event::View { .. }))).unwrap();
    let quorate =
        |o: &Output<NoJob>| matches!(o, Output::Observe(Event::Quorum { quorate: true, .. }));
    let quorum = place(&quorate).unwrap();
    let ready = place(&|o| *o == Output::Ready).unwrap();
    let order = [up, stored, view, quorum, ready];
    assert!(order.is_sorted(), "{order:?}: {:?}", node.said);
    assert_eq!(node.core.map.store.text("runtime.members.1.status"), Some("joined"));
}

#[test]
fn a_contradiction_is_refused_at_the_start_with_its_reason() {
    let knet = CONF.replace("udpu", "knet");
    let why = Membership::new(Now::default(), setup(&knet)).unwrap_err();
    assert!(why.contains("knet"), "{why}");
}

#[test]
fn the_map_says_who_may_connect() {
    let mut node = running();
    node.core.map.set("uidgid.uid.100", cmap::Value::U8(1));
    node.core.map.set("uidgid.config.uid.100", cmap::Value::U8(1));
    node.core.map.store.delete("uidgid.uid.100").unwrap();
    node.run();
    node.core.map.store.delete("uidgid.config.uid.100").unwrap();
    node.input(Input::Writable(Conn(9)));
    let allowed = node.said.iter().filter_map(|output| match output {
        Output::Allow { who: Who::User(100), allowed } => Some(*allowed),
        _ => None,
    });
    let allowed: Vec<bool> = allowed.collect();
    assert_eq!(allowed.last(), Some(&false));
    assert!(allowed[..allowed.len() - 1].iter().all(|allowed| *allowed), "{allowed:?}");
}

const RELOAD: i32 = 7;
const RELOADED: i32 = 14;
const OK: i32 = 1;
const INVALID_PARAM: i32 = 7;

fn reloaded(text: &str) -> (Node1, Vec<(i32, i32)>) {
    let mut node = running();
    let conn = Conn(1 << 32);
    let peer = Credentials::default();
    node.input(Input::Accepted { conn, service: "cfg".into(), peer });
    node.request(conn, RELOAD, Vec::new());
    node.run();
    assert_eq!(node.said.iter().filter(|o| **o == Output::ReadConfig).count(), 1);
    assert_eq!(node.answers(conn), [], "nobody answers before it is done");
    node.input(Input::ConfigRead(Ok(reading(text).encode())));
    let answers = node.answers(conn);
    (node, answers)
}

#[test]
fn a_reload_changes_the_map_and_the_ring() {
    let (node, answers) = reloaded(&CONF.replace("version: 2", "version: 2\n token: 5000"));
    assert_eq!(answers, [(RELOADED, OK)]);
    let token = node.core.map.store.value("runtime.config.totem.token");
    assert_eq!(token, Some(&cmap::Value::U32(5000)));
    assert_eq!(node.core.pause_limit(), Some(Duration::from_millis(2500)));
}

#[test]
fn a_refused_reload_changes_nothing() {
    for text in [CONF.replace("nodeid: 1", "nodeid: 2"), CONF.replace("version: 2", "version: 3")] {
        let (node, answers) = reloaded(&text);
        assert_eq!(answers, [(RELOADED, INVALID_PARAM)], "{text}");
        let token = node.core.map.store.value("runtime.config.totem.token");
        assert_eq!(token, Some(&cmap::Value::U32(3000)));
        assert_eq!(node.core.map.store.value("nodelist.node.0.nodeid"), Some(&cmap::Value::U32(1)));
        assert_eq!(node.core.config, running().core.config);
    }
}

#[test]
fn stopping_leaves_in_good_order() {
    let mut node = running();
    node.input(Input::Stop);
    let end = &node.said[node.said.len() - 2..];
    assert_eq!(end, [Output::Observe(Event::Left), Output::Exit { code: 0 }]);
}

#[test]
fn a_setup_comes_back_and_damage_is_refused() {
    let setup = Setup { stored_votes: Some(vec![1, 0, 0, 0]), ..setup(CONF) };
    let bytes = setup.encode();
    assert_eq!(Setup::decode(&bytes), Ok(setup));
    for cut in 0..bytes.len() {
        assert!(Setup::decode(&bytes[..cut]).is_err());
    }
}

#[test]
fn a_recording_leaves_the_configuration_out() {
    use sansio::{Recorded, Secrets};
    let input = Input::ConfigRead(Ok(b"key: secret".to_vec()));
    let record = Membership::redact(&input, &mut Secrets::default());
    assert!(record.body.is_empty() && record.elided.is_some());
    assert!(Membership::restore(record.kind, &record.body, record.elided).is_err());
}
