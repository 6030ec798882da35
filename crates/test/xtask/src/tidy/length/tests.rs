use super::super::tests::{said, tree};
use super::*;

const PATH: &str = "crates/io/host/src/lib.rs";

/// A function of so many lines.
fn function(lines: usize) -> String {
    format!("impl Host {{\nfn long() {{\n{}}}\n}}\n", "step();\n".repeat(lines - 2))
}

fn with_list(source: &str, list: &str) -> Tree {
    tree(&[(PATH, source), (LIST, list)])
}

#[test]
fn what_fits_is_fine() {
    assert_eq!(check(&with_list(&function(FUNCTION_LINES), "# none\n")), []);
}

#[test]
fn a_new_long_function_or_file_is_found() {
    let found = said(&check(&with_list(&function(71), "")));
    assert_eq!(found, ["crates/io/host/src/lib.rs:2: fn Host::long has 71 lines"]);
    let found = said(&check(&with_list(&"\n".repeat(601), "")));
    assert_eq!(found, ["crates/io/host/src/lib.rs:1: the file has 601 lines"]);
}

#[test]
fn a_listed_one_may_neither_grow_nor_shrink_unseen() {
    let list = format!("{PATH} Host::long 80\n");
    assert_eq!(check(&with_list(&function(80), &list)), []);
    let grown = said(&check(&with_list(&function(81), &list)));
    assert_eq!(grown, ["crates/io/host/src/lib.rs:2: fn Host::long grew from 80 to 81 lines"]);
    let shrunk = said(&check(&with_list(&function(79), &list)));
    assert_eq!(shrunk, ["crates/io/host/src/lib.rs:2: fn Host::long shrank from 80 to 79 lines"]);
    let gone = check(&with_list(&function(70), &list));
    assert_eq!(said(&gone), [format!("{LIST}: {PATH}: fn Host::long is too long no more")]);
}

#[test]
fn the_update_only_shrinks() {
    let list = format!("# why\n\n{PATH} Host::gone 90\n{PATH} Host::long 80\n");
    assert_eq!(
        shrunk(&with_list(&function(75), &list)),
        format!("# why\n\n{PATH} Host::long 75\n")
    );
    assert_eq!(
        shrunk(&with_list(&function(99), &list)),
        format!("# why\n\n{PATH} Host::long 80\n")
    );
    assert_eq!(shrunk(&with_list(&function(99), "# why\n")), "# why\n");
}
