//! When requests are served.

use ha_types::Node;
use ring_service::{Output, Service};
use sansio::edge::{Channel, Conn, Frame};
use sansio::{Core, Now};

use super::equal;
use crate::{Config, Input, Services};

fn request(id: i32, body: usize) -> Frame {
    Frame { channel: Channel::Request, id, error: 0, body: vec![0; body] }
}

fn outputs(services: &mut Services, input: Input) -> Vec<Output> {
    services.handle(Now::default(), input);
    std::iter::from_fn(|| services.poll_output()).collect()
}

fn error(outputs: &[Output]) -> Option<i32> {
    outputs.iter().find_map(|output| match output {
        Output::Frame { frame, .. } => Some(frame.error),
        _ => None,
    })
}

#[test]
fn requests_that_send_wait_for_the_ring() {
    let config = Config { votes: Some(equal(1)), ..Config::default() };
    let mut services = Services::new(Node(1), config).expect("a good configuration");
    while services.poll_output().is_some() {}
    for (conn, service, level) in [
        (1, Service::CPG, Some(2)),
        (2, Service::CFG, Some(2)),
        (3, Service::QUORUM, Some(2)),
        (4, Service::VOTEQUORUM, None),
    ] {
        let conn = Conn(conn);
        let told = outputs(&mut services, Input::Accepted { conn, service });
        let held: Vec<Output> =
            level.into_iter().map(|level| Output::FlowControl { conn, level }).collect();
        assert_eq!(told, held, "{service:?}");
    }
    let mut ask =
        |conn, frame| error(&outputs(&mut services, Input::Frame { conn: Conn(conn), frame }));
    assert_eq!(ask(1, request(0, 152)), Some(6), "cpg join");
    assert_eq!(ask(1, request(2, 24)), None, "a message has no answer");
    assert_eq!(ask(1, request(4, 0)), Some(1), "cpg local get");
    assert_eq!(ask(1, request(13, 0)), Some(7), "no such request");
    assert_eq!(ask(2, request(3, 8)), Some(6), "cfg shutdown");
    assert_eq!(ask(2, request(6, 0)), Some(1), "cfg local get");
    assert_eq!(ask(3, request(0, 0)), Some(1), "quorum");
    assert_eq!(ask(4, request(0, 8)), Some(1), "votequorum info");
}

#[test]
fn a_full_ring_holds_everybody_back() {
    let mut model = crate::model::Model::new(1, equal(1));
    model.become_rings(&[&[1]]);
    model.connect(1, 4, Service::VOTEQUORUM);
    model.connect(1, 1, Service::CPG);
    let services = &mut model.members.get_mut(&Node(1)).expect("node 1").services;
    let level = |level| [1, 4].map(|conn| Output::FlowControl { conn: Conn(conn), level }).to_vec();
    assert_eq!(outputs(services, Input::RingFull(true)), level(2));
    let join = Input::Frame { conn: Conn(1), frame: request(0, 152) };
    assert_eq!(error(&outputs(services, join)), Some(6));
    assert_eq!(outputs(services, Input::RingFull(false)), level(0));
}
