use super::*;

const RING: RingId = RingId { rep: Node(1), seq: 8 };

fn configuration(kind: ConfigurationKind, members: &[u32], seq: u64) -> Configuration {
    Configuration {
        kind,
        ring: RingId { rep: Node(1), seq },
        members: members.iter().copied().map(Node).collect(),
        left: BTreeSet::new(),
        joined: BTreeSet::new(),
    }
}

fn outputs(barrier: &mut Barrier) -> Vec<Output> {
    std::iter::from_fn(|| barrier.poll_output()).collect()
}

fn barrier_message(ring: RingId) -> Vec<u8> {
    Layout::message(BARRIER, BARRIER_LEN).packed_ring(16, ring).finish()
}

fn started(own: &[Service], members: &[u32]) -> Barrier {
    let mut barrier = Barrier::new(own.iter().copied());
    barrier.configuration(&configuration(ConfigurationKind::Regular, members, 8));
    outputs(&mut barrier);
    barrier
}

#[test]
fn a_ring_starts_with_the_list_of_services_as_the_reference_lays_it_out() {
    let mut barrier = Barrier::new([Service::CPG, Service::CMAP]);
    barrier.configuration(&configuration(ConfigurationKind::Transitional, &[1, 3], 4));
    barrier.configuration(&configuration(ConfigurationKind::Regular, &[1, 2], 8));
    let outputs = outputs(&mut barrier);
    let Output::Mcast(bytes) = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!(bytes.len(), 552);
    assert_eq!(bytes[..16], [1, 0, 0, 0, 0, 0, 0, 0, 0x28, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[16..32], [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[32..52], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    let start =
        SyncStart { ring: RING, members: [Node(1), Node(2)].into(), came_along: [Node(1)].into() };
    assert_eq!(outputs[1], Output::Init(start));
}

#[test]
fn services_follow_each_other_and_unknown_ones_are_waited_for() {
    let mut barrier = started(&[Service::CMAP, Service::CPG], &[1, 2]);
    barrier.deliver(Node(1), &service_build(RING, &[Service::CMAP, Service::CPG].into()));
    assert_eq!(outputs(&mut barrier), []);
    barrier.deliver(Node(2), &service_build(RING, &[Service(1)].into()));
    assert_eq!(outputs(&mut barrier), [Output::Process(Service::CMAP)]);

    barrier.deliver(Node(2), &barrier_message(RING));
    barrier.processed(Service::CMAP);
    assert_eq!(outputs(&mut barrier), [Output::Mcast(barrier_message(RING))]);
    barrier.deliver(Node(1), &barrier_message(RING));
    let next = [Output::Activate(Service::CMAP), Output::Mcast(barrier_message(RING))];
    assert_eq!(outputs(&mut barrier), next, "a dummy has nothing to say");

    barrier.deliver(Node(1), &barrier_message(RING));
    barrier.deliver(Node(2), &barrier_message(RING));
    let next = [Output::Activate(Service(1)), Output::Process(Service::CPG)];
    assert_eq!(outputs(&mut barrier), next);
    barrier.processed(Service::CPG);
    outputs(&mut barrier);
    barrier.deliver(Node(1), &barrier_message(RING));
    barrier.deliver(Node(2), &barrier_message(RING));
    let last = [Output::Activate(Service::CPG), Output::Completed(RING)];
    assert_eq!(outputs(&mut barrier), last);
    assert_eq!(barrier.dropped(), 0);
}

#[test]
fn a_new_configuration_aborts_and_old_messages_change_nothing() {
    let mut barrier = started(&[Service::CMAP], &[1]);
    barrier.deliver(Node(1), &service_build(RING, &[Service::CMAP].into()));
    assert_eq!(outputs(&mut barrier), [Output::Process(Service::CMAP)]);
    barrier.configuration(&configuration(ConfigurationKind::Transitional, &[1], 8));
    assert_eq!(outputs(&mut barrier), [Output::Abort(Service::CMAP)]);
    barrier.processed(Service::CMAP);
    barrier.deliver(Node(1), &barrier_message(RING));
    assert_eq!(outputs(&mut barrier), []);
    assert_eq!(barrier.dropped(), 1);
}

#[test]
fn malformed_and_foreign_messages_are_dropped_and_counted() {
    let good = service_build(RING, &[Service::CMAP].into());
    let mut barrier = started(&[Service::CMAP], &[1]);
    let mut hostile: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    for (at, value) in [(32, 129u32), (32, u32::MAX), (40, 64), (40, u32::MAX), (0, 7), (8, 551)] {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        hostile.push(bytes);
    }
    hostile.push(barrier_message(RING));
    for bytes in &hostile {
        barrier.deliver(Node(1), bytes);
    }
    barrier.deliver(Node(9), &good);
    assert_eq!(barrier.dropped(), hostile.len() as u64 + 1);
    assert_eq!(outputs(&mut barrier), []);
    barrier.deliver(Node(1), &good);
    assert_eq!(outputs(&mut barrier), [Output::Process(Service::CMAP)]);
}
