use super::*;

#[test]
fn literals_are_those_of_the_c_library() {
    let v4 = |text: &str| literal(text).map(|a| a.to_string());
    for (text, address) in [
        ("10.0.0.1", "10.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("10.1.65535", "10.1.255.255"),
        ("0x0a.010.1.2", "10.8.1.2"),
        ("4294967295", "255.255.255.255"),
        ("fe80::1%eth0", "fe80::1"),
    ] {
        assert_eq!(v4(text).as_deref(), Some(address), "{text}");
    }
    for text in
        ["", "10.0.0.256", "10.0.0.0.1", "10.0.65536.1", "1.2.3.", "08.1.1.1", "host", "0x", "-1"]
    {
        if text != "0x" {
            assert_eq!(v4(text), None, "{text}");
        }
    }
}

#[test]
fn names_that_need_a_resolver_are_listed() {
    let text = "totem {\ninterface {\nbindnetaddr: net0\n}\n}\nuidgid {\nuid: hacluster\ngid: 7\n}\n\
                nodelist {\nnode {\nring0_addr: 10.0.0.1\nname: a\n}\n}\n";
    let wanted = Wanted::of(&Files::main("c", text));
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(wanted.hosts, set(&["a", "net0"]));
    assert_eq!((wanted.users, wanted.groups), (set(&["hacluster"]), set(&["7"])));
}

#[test]
fn a_node_may_be_found_by_what_its_name_resolves_to() {
    let mut keys = Keys::default();
    keys.compute("nodelist.node.0.name", cmap::Value::text("other"));
    keys.compute("nodelist.node.1.name", cmap::Value::text("alias"));
    let address: IpAddr = "10.0.0.5".parse().unwrap();
    let mut host = Host { nodename: "me".to_owned(), ..Host::default() };
    host.interfaces.push(Interface { address, prefix_len: 8, name: Some("me.lan".to_owned()) });
    assert_eq!(host.local_position(&keys), None);
    host.addresses.insert("alias".to_owned(), vec![address]);
    assert_eq!(host.local_position(&keys), Some(1));
    keys.compute("nodelist.node.2.name", cmap::Value::text("me.lan"));
    assert_eq!(host.local_position(&keys), Some(2));
}
