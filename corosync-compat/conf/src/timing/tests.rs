use super::*;

fn timing(settings: &[(&str, u32)], members: u32) -> Timing {
    let mut keys = Keys::default();
    for (name, value) in settings {
        keys.compute(format!("totem.{name}"), Value::U32(*value));
    }
    Timing::of(&keys, members)
}

fn computed(t: &Timing) -> [u32; 4] {
    [t.token_ms, t.token_retransmit_ms, t.hold_ms, t.consensus_ms]
}

#[test]
fn defaults_are_computed_from_the_token() {
    assert_eq!(computed(&timing(&[], 0)), [3000, 714, 561, 3600]);
    assert_eq!(computed(&timing(&[], 2)), [3000, 714, 561, 3600]);
    assert_eq!(computed(&timing(&[], 3)), [3650, 869, 685, 4380]);
    assert_eq!(computed(&timing(&[("token", 1000)], 2)), [1000, 238, 180, 1200]);
    assert_eq!(computed(&timing(&[("token_coefficient", 0)], 5)), [3000, 714, 561, 3600]);
    assert_eq!(
        computed(&timing(&[("token", 10_000), ("token_retransmits_before_loss_const", 10)], 4)),
        [11_300, 1107, 875, 13_560]
    );
}

#[test]
fn zero_means_the_default_where_zero_makes_no_sense() {
    let t = timing(&[("token", 0), ("join", 0), ("token_warning", 0), ("hold", 0)], 2);
    assert_eq!((t.token_ms, t.join_ms, t.token_warning_percent, t.hold_ms), (3000, 50, 0, 561));
}

#[test]
fn large_tokens_lose_precision_like_the_reference() {
    // 1.2 * 16777217 = 20132660.4, which single precision rounds to 20132660;
    // 1.2 * 30000001 = 36000001.2 becomes 36000000.
    assert_eq!(timing(&[("token", 16_777_217)], 2).consensus_ms, 20_132_660);
    assert_eq!(timing(&[("token", 30_000_001)], 2).consensus_ms, 36_000_000);
    assert_eq!(timing(&[("token", u32::MAX)], 2).consensus_ms, 0x8000_0000);
}
