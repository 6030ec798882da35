use super::*;

fn reason(text: &str) -> Option<(u32, &'static str)> {
    steps(text.as_bytes()).1.map(|bad| (bad.line, bad.reason))
}

fn items(text: &[u8]) -> Vec<(String, String)> {
    let (steps, bad) = steps(text);
    assert_eq!(bad, None);
    let items = steps.into_iter().filter_map(|step| match step.what {
        What::Item { path, value, .. } => Some((path, String::from_utf8(value).unwrap())),
        What::Open { .. } | What::Close { .. } => None,
    });
    items.collect()
}

#[test]
fn sections_nest_and_blanks_do_not_matter() {
    let text =
        b"# a comment\n\n a : b \r\n\touter{\nx:1:2\n  inner :{ \n y:\t\n#z: 1\n}\n }\nlast: }";
    let expected = [("a", "b"), ("outer.x", "1:2"), ("outer.inner.y", ""), ("last", "}")];
    assert_eq!(items(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn every_bad_line_is_named() {
    let cases = [
        ("ok: 1\nnonsense\n", 2, "Line is not opening or closing section or key value"),
        ("a {\n", 1, "Missing closing brace"),
        ("a {\n\n", 2, "Missing closing brace"),
        ("}\n", 1, "Unexpected closing brace"),
        ("a {\n} b\n", 2, "Extra characters before or after closing bracket '}'"),
        ("a { b: 1\n", 1, "Extra characters after opening bracket '{'"),
        ("a {}\n", 1, "Extra characters after opening bracket '{'"),
        ("  {\n", 1, "Missing section name before opening bracket '{'"),
    ];
    for (text, line, expected) in cases {
        assert_eq!(reason(text), Some((line, expected)), "{text:?}");
    }
}

#[test]
fn lengths_are_limited() {
    let line = |len: usize| format!("k: {}", "x".repeat(len - 3));
    assert_eq!(reason(&format!("{}\n", line(510))), None);
    assert_eq!(reason(&format!("{}\n", line(511))), Some((1, "Line too long")));
    assert_eq!(reason(&line(510)), None);
    assert_eq!(reason(&line(511)), Some((1, "Line too long")));
    let deep = "a {\n".repeat(127);
    assert_eq!(reason(&deep), Some((127, "Missing closing brace")));
    let deeper = "a {\n".repeat(128);
    let too_long = "Start of section makes total cmap path too long";
    assert_eq!(reason(&deeper), Some((128, too_long)));
    let long_key = format!("{}: 1\n", "k".repeat(254));
    assert_eq!(reason(&long_key), Some((1, "New key makes total cmap path too long")));
    assert_eq!(reason(&format!("{}: 1\n", "k".repeat(253))), None);
}

#[test]
fn bytes_that_are_no_text_do_not_confuse() {
    assert_eq!(reason("a: b\0c\nd: e\n"), Some((1, "Line too long")));
    assert_eq!(items(b"\0rest\nd: e\n"), [("d".to_owned(), "e".to_owned())]);
    assert_eq!(items(b"a: b\0c"), [("a".to_owned(), "b".to_owned())]);
    let (found, bad) = steps(b"k: \xff\xfe\n");
    assert_eq!(bad, None);
    assert_eq!(
        found[0].what,
        What::Item { path: "k".into(), key: "k".into(), value: vec![255, 254] }
    );
}
