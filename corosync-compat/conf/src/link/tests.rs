use super::*;

#[test]
fn names_become_multicast_addresses_modulo_255() {
    let of = |name: &str, link| multicast_of_name(name, link, false).to_string();
    // 'a' = 97; "ab" = 97 * 2 + 98 = 292 = 0x124: 292 % 255 = 37.
    assert_eq!(of("a", 0), "239.192.0.97");
    assert_eq!(of("ab", 0), "239.192.1.37");
    assert_eq!(of("ab", 1), "239.192.1.38");
    assert_eq!(multicast_of_name("ab", 0, true).to_string(), "ff15::124");
}

#[test]
fn ids_come_from_addresses() {
    let node = |clear| node_of_address(Ipv4Addr::new(192, 168, 5, 11), clear).0;
    assert_eq!((node(false), node(true)), (0xc0a8_050b, 0x40a8_050b));
}
