use super::*;

#[test]
fn comments_and_literals_are_not_code() {
    let text =
        "let a = \"fn // {\"; // unsafe {\nlet b = r#\"}\"{\"#; /* a /* fn */ b */ let c = '{';";
    let source = Source::new(text);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.comments.len(), text.len());
    let code: Vec<&str> = source.code.split_whitespace().collect();
    assert_eq!(code, ["let", "a", "=", ";", "let", "b", "=", ";", "let", "c", "=", ";"]);
    let comments: Vec<&str> = source.comments.split_whitespace().collect();
    assert_eq!(comments, ["//", "unsafe", "{", "/*", "a", "/*", "fn", "*/", "b", "*/"]);
}

#[test]
fn lifetimes_are_no_characters_and_escapes_end_nothing() {
    let source = Source::new(r#"fn a<'x>(b: &'x str) -> char { let q = '\''; let s = "\\"; '"' }"#);
    assert_eq!(source.functions.len(), 1);
    assert!(source.code.contains("fn a<'x>(b: &'x str)"));
    assert!(!source.code.contains('"'));
}

#[test]
fn letters_beyond_ascii_keep_the_offsets() {
    let text = "/* é — ü */ fn größe() {}";
    let source = Source::new(text);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.functions[0].path, ["größe"]);
}

#[test]
fn functions_carry_their_scopes_and_lengths() {
    let text = "
mod view {
    impl<T: Fn(u8) -> u8> Ring for super::Table<T> where T: Copy {
        pub(crate) const fn quorate(
            &self,
            votes: [u8; 4],
        ) -> bool {
            let ask: fn(u8) -> u8 = other;
            self.each(|node| { node.vote(); });
            true
        }
    }
    trait Named { fn name(&self) -> String; fn short(&self) -> u8 { 0 } }
}
fn last() {}
";
    let found: Vec<(String, usize)> =
        Source::new(text).functions.iter().map(|f| (f.path.join("::"), f.lines)).collect();
    let expected = [("view::Table::quorate", 8), ("view::Named::short", 1), ("last", 1)];
    assert_eq!(found, expected.map(|(path, lines)| (path.to_owned(), lines)));
}

#[test]
fn an_unfinished_file_is_no_panic() {
    for text in ["fn a() {", "\"", "'", "r#\"", "/* /*", "}}}", "'\\", "fn", "b'"] {
        assert_eq!(Source::new(text).functions, []);
    }
}
