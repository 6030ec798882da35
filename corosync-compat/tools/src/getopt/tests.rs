use std::cell::RefCell;

use super::*;

const PLAIN: Spec = Spec { letters: "ab:c", long: &[] };
const LONG: Spec = Spec {
    letters: "ak:",
    long: &[
        ("reload", Takes::Nothing, 'R'),
        ("reopen", Takes::Nothing, 'L'),
        ("kill", Takes::Argument, 'k'),
    ],
};

thread_local! {
    static HEARD: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Options, operands and complaints of a command line.
fn parse(spec: &Spec, line: &str) -> (String, String, String) {
    let words = std::iter::once("tool").chain(line.split_whitespace());
    let mut options = Options::new(spec, words.map(|w| w.as_bytes().to_vec()).collect());
    HEARD.take();
    options.complain = |text| {
        HEARD.with_borrow_mut(|heard| heard.push_str(std::str::from_utf8(text).unwrap()));
    };
    let mut found = Vec::new();
    while let Some(option) = options.next() {
        found.push(match option {
            Found::Option(letter, value) => {
                format!("{letter}{}", String::from_utf8(value).unwrap())
            }
            Found::Wrong => "?".into(),
        });
    }
    let operands = options.operands().into_iter().map(|w| String::from_utf8(w).unwrap());
    (found.join(" "), operands.collect::<Vec<_>>().join(" "), HEARD.take())
}

fn of(found: &str, operands: &str, heard: &str) -> (String, String, String) {
    (found.into(), operands.into(), heard.into())
}

#[test]
fn letters_share_a_dash_and_operands_stand_anywhere() {
    assert_eq!(parse(&PLAIN, "x -ac y -bv -b w - z"), of("a c bv bw", "x y - z", ""));
    assert_eq!(parse(&PLAIN, "-acbrest -- -a"), of("a c brest", "-a", ""));
    assert_eq!(parse(&PLAIN, "-b -a"), of("b-a", "", ""));
}

#[test]
fn wrong_letters_are_named() {
    assert_eq!(parse(&PLAIN, "-zac"), of("? a c", "", "tool: invalid option -- 'z'\n"));
    assert_eq!(parse(&PLAIN, "-:"), of("?", "", "tool: invalid option -- ':'\n"));
    assert_eq!(parse(&PLAIN, "-b"), of("?", "", "tool: option requires an argument -- 'b'\n"));
    let dashes = "tool: invalid option -- '-'\n";
    assert_eq!(parse(&PLAIN, "--a"), of("? a", "", dashes));
}

#[test]
fn long_options_may_be_cut_short() {
    assert_eq!(parse(&LONG, "--reload --k 3 --kill=4 -a"), of("R k3 k4 a", "", ""));
    let ambiguous = "tool: option '--re' is ambiguous; possibilities: '--reload' '--reopen'\n";
    assert_eq!(parse(&LONG, "--re"), of("?", "", ambiguous));
    assert_eq!(parse(&LONG, "--zap=1"), of("?", "", "tool: unrecognized option '--zap=1'\n"));
    let without = "tool: option '--reload' doesn't allow an argument\n";
    assert_eq!(parse(&LONG, "--rel=1"), of("?", "", without));
    assert_eq!(parse(&LONG, "--kil"), of("?", "", "tool: option '--kill' requires an argument\n"));
}
