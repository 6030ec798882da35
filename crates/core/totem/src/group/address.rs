//! The groups that a message is addressed to: a count and as many lengths (16
//! bits each), then the names, then the message.

use bytes::Bytes;
use wire::{Malformed, Reader};

/// The groups that Corosync knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `a`: the services, each message with its service's id.
    Services,
    /// `sync`: the barrier between the services after a membership change.
    Sync,
}

/// No sender addresses more groups at once.
const MAX_GROUPS: usize = 32;

impl Group {
    const ALL: [Self; 2] = [Self::Services, Self::Sync];

    fn name(self) -> &'static [u8] {
        match self {
            Self::Services => b"a",
            Self::Sync => b"sync",
        }
    }

    /// What stands before a message to this group.
    pub(super) fn prefix(self) -> &'static [u8] {
        match self {
            Self::Services => b"\x01\x00\x01\x00a",
            Self::Sync => b"\x01\x00\x04\x00sync",
        }
    }

    /// Takes the address off a message: the known groups among those named,
    /// and the message itself.
    pub(super) fn strip(message: &Bytes, swapped: bool) -> Result<(Vec<Self>, Bytes), Malformed> {
        let mut r = Reader::new(message);
        let count = length(&mut r, swapped)?;
        if count > MAX_GROUPS {
            return Err(r.refuse("at most 32 groups"));
        }
        let lengths = (0..count).map(|_| length(&mut r, swapped)).collect::<Result<Vec<_>, _>>()?;
        let mut groups = Vec::new();
        for len in lengths {
            let name = r.take(len, "group name")?;
            groups.extend(Self::ALL.into_iter().filter(|group| group.name() == name));
        }
        groups.dedup();
        Ok((groups, message.slice(r.offset()..)))
    }
}

fn length(r: &mut Reader<'_>, swapped: bool) -> Result<usize, Malformed> {
    let value = r.u16("group length")?;
    Ok(usize::from(if swapped { value.swap_bytes() } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_back() {
        for group in Group::ALL {
            let message: Bytes = [group.prefix(), b"body"].concat().into();
            let stripped = Group::strip(&message, false).unwrap();
            assert_eq!(stripped, (vec![group], Bytes::from_static(b"body")));
        }
    }

    #[test]
    fn several_groups_unknown_ones_and_the_other_byte_order() {
        let both = Bytes::from_static(b"\x03\x00\x01\x00\x04\x00\x02\x00async??body");
        let (groups, body) = Group::strip(&both, false).unwrap();
        assert_eq!((groups, &body[..]), (vec![Group::Services, Group::Sync], &b"body"[..]));
        let swapped = Bytes::from_static(b"\x00\x01\x00\x01abody");
        assert_eq!(Group::strip(&swapped, true).unwrap().0, [Group::Services]);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bytes in
            [&b""[..], b"\x01", b"\x01\x00\xff\xffa", b"\xff\xff\x01\x00a", b"\x02\x00\x01\x00"]
        {
            assert!(Group::strip(&Bytes::copy_from_slice(bytes), false).is_err(), "{bytes:?}");
        }
    }
}
