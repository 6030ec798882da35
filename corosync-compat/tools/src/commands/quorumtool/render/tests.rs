use super::*;
use crate::commands::quorumtool::Order;
use corosync_client::Lookup;

fn style() -> Style {
    Style {
        hexadecimal: false,
        lookup: Lookup::Name,
        all_addresses: false,
        always_devices: false,
        order: Order::Ring,
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn listed(style: &Style, list: &[Member], local: u32) -> String {
    let device = list[0].info.as_ref();
    text(members(style, &List { members: list, device, local, has_votes: true }))
}

fn member(node: u32, flags: u32) -> Member {
    let info = NodeInfo {
        node,
        votes: 1,
        flags: Flags(flags),
        device_votes: 2,
        device_name: b"Qdevice".to_vec(),
        ..NodeInfo::default()
    };
    Member { node, info: Some(info), name: format!("n{node}").into() }
}

#[test]
fn dates_are_those_of_ctime() {
    let time =
        LocalTime { weekday: 6, month: 10, day: 1, hour: 9, minute: 5, second: 0, year: 2026 };
    assert_eq!(date(time), "Sat Nov  1 09:05:00 2026");
}

#[test]
fn without_a_provider_the_ring_is_a_number() {
    let view = View { quorate: true, ring_seq: 0x1f, members: vec![1, 2] };
    let status_of = |representative, hexadecimal| {
        let top = Status { time: None, provider: b"x", local: 10, representative, view: &view };
        text(status(&Style { hexadecimal, ..style() }, &top))
    };
    let free = status_of(None, false);
    assert!(free.contains("Nodes:            2\nNode ID:          10\nRing ID:          1f\n"));
    let votes = status_of(Some(10), true);
    assert!(votes.contains("Node ID:          0x0000000a\nRing ID:          a.1f\n"), "{votes}");
}

#[test]
fn activity_is_blocked_without_quorum() {
    let blocked = votes(&NodeInfo { quorum: 2, ..NodeInfo::default() });
    assert!(blocked.ends_with("Quorum:           2 Activity blocked\nFlags:            \n"));
    let flags = Flags(1 | 2 | 4 | 8 | 16 | 32 | 64);
    let all = votes(&NodeInfo { flags, ..NodeInfo::default() });
    assert!(all.ends_with(
        "Flags:            2Node Quorate WaitForAll LastManStanding AutoTieBreaker \
         AllowDownscale Qdevice \n"
    ));
}

#[test]
fn a_device_has_a_column_and_a_line() {
    const ALL: u32 = 64 | 128 | 256 | 512;
    let list = [member(1, ALL), member(2, 0)];
    let shown = listed(&style(), &list, 1);
    assert_eq!(
        shown,
        "\nMembership information\n----------------------\n    Nodeid      Votes    Qdevice Name\n\
         \u{20}        1          1     A,V,MW n1 (local)\n\
         \u{20}        2          1         NR n2\n\
         \u{20}        0          2            Qdevice\n"
    );
    let dead = [member(1, 64), member(2, 0)];
    let shown = listed(&style(), &dead, 1);
    assert!(shown.contains("  NA,NV,NMW n1"), "{shown}");
    assert!(shown.ends_with("         0          0            Qdevice (votes 2)\n"), "{shown}");
}

#[test]
fn the_column_comes_on_demand_and_ids_in_hexadecimal() {
    let list = [member(1, 0)];
    let wanted = Style { always_devices: true, hexadecimal: true, ..style() };
    let shown = listed(&wanted, &list, 2);
    assert!(
        shown.ends_with("Nodeid      Votes    Qdevice Name\n0x00000001          1         NR n1\n")
    );
}
