//! Telling of changes until somebody types `q`.

use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::time::Duration;

use corosync_client::{Change, Cmap, CsError, Track};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::fail;
use super::render::{self, Style};
use crate::output::{Exit, flush, print, say};

/// A connection that hung up says so within this time.
const GOODBYE: Duration = Duration::from_secs(1);

pub(super) fn track(
    style: Style,
    cmap: &mut Cmap,
    track: Track,
    keys: &[Vec<u8>],
) -> Result<(), Exit> {
    for key in keys {
        cmap.track(key, track)
            .map_err(|e| fail(format!("Failed to add tracking function. Error {e}\n")))?;
    }
    print("Type \"q\" to finish\n");
    let mut input_is_open = true;
    loop {
        // Whoever watches shall see it now.
        if flush().is_err() {
            return Ok(());
        }
        let (service, input) = wait(cmap, input_is_open);
        let is_over = input.contains(PollFlags::POLLIN) && is_end();
        if !input.is_empty() && !input.contains(PollFlags::POLLIN) {
            input_is_open = false;
        }
        // What happened before the end was typed is told all the same.
        if !service.is_empty()
            && let Err(e) = tell(style, cmap, service)
        {
            say(format!("Dispatch error {e}\n"));
            return Ok(());
        }
        if is_over {
            return Ok(());
        }
    }
}

/// What happened at the service and at standard input.
fn wait(cmap: &Cmap, with_input: bool) -> (PollFlags, PollFlags) {
    let stdin = io::stdin();
    let mut fds =
        [PollFd::new(cmap.fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let watched = if with_input { &mut fds[..] } else { &mut fds[..1] };
    // An interrupted wait is one in which nothing happened.
    let _ = poll(watched, PollTimeout::NONE);
    let flags = |at: usize| match watched.get(at).and_then(PollFd::revents) {
        Some(flags) => flags,
        None => PollFlags::empty(),
    };
    (flags(0), flags(1))
}

/// Whether the line that was typed ends the command; the end of input does.
fn is_end() -> bool {
    let mut stdin = io::stdin().lock();
    let Ok(typed) = stdin.fill_buf().map(<[u8]>::to_vec) else { return true };
    stdin.consume(typed.len());
    typed.is_empty() || typed.split(|b| *b == b'\n').any(|line| line.first() == Some(&b'q'))
}

fn tell(style: Style, cmap: &mut Cmap, happened: PollFlags) -> Result<(), CsError> {
    while let Some(change) = cmap.next_change(Some(Duration::ZERO))? {
        let (what, key, value) = match change {
            Change::Created(key, value) => ("create> ", key, value),
            Change::Deleted(key, value) => ("delete> ", key, value),
            Change::Modified(key, value) => ("modify> ", key, value),
        };
        print(what);
        print(render::line(style, &key, &value));
    }
    if happened.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
        cmap.next_change(Some(GOODBYE))?;
    }
    Ok(())
}
