//! The comparison: same output, same talk, same exit status.

use std::process::Output;

use crate::node::{Node, User, Whose};

/// What a tool did, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Did {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: Option<i32>,
}

impl Did {
    pub(crate) fn of(output: &Output) -> Self {
        // Bytes that are no text stay distinguishable.
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.escape_ascii().to_string())
        };
        Self {
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            status: output.status.code(),
        }
    }
}

/// Runs Debian's tool and ours, which must do the same; gives what they did.
#[track_caller]
pub(crate) fn same(node: &Node, line: &str) -> Did {
    same_as(node, User::Root, line, "")
}

/// As [`same`], as a user and with input.
#[track_caller]
pub(crate) fn same_as(node: &Node, user: User, line: &str, input: &str) -> Did {
    let [theirs, ours] = [Whose::Debian, Whose::Ours]
        .map(|whose| mask_date(Did::of(&node.run(whose, user, line, input))));
    assert_eq!(ours, theirs, "{line:?} by {user:?}");
    theirs
}

/// What Debian's tool does first and ours after it, where the first call changes
/// what the second finds: `again` puts it back in between.
#[track_caller]
pub(crate) fn same_after(node: &Node, line: &str, again: impl Fn()) -> Did {
    let theirs = mask_date(Did::of(&node.run(Whose::Debian, User::Root, line, "")));
    again();
    let ours = mask_date(Did::of(&node.run(Whose::Ours, User::Root, line, "")));
    assert_eq!(ours, theirs, "{line:?}");
    theirs
}

/// The time of the call: two calls may fall into two seconds.
fn mask_date(mut did: Did) -> Did {
    let lines = did.stdout.split_inclusive('\n').map(|line| match line.strip_prefix("Date: ") {
        Some(date) => format!("Date: {}\n", shape(date.trim_end())),
        None => line.to_owned(),
    });
    did.stdout = lines.collect();
    did
}

/// Letters and digits as such: the form of a date without its content.
fn shape(date: &str) -> String {
    let kind = |c: char| match c {
        c if c.is_ascii_digit() => '9',
        c if c.is_ascii_alphabetic() => 'a',
        c => c,
    };
    // A day of one digit has a blank in front, and so has one of two.
    date.chars().map(kind).collect()
}
