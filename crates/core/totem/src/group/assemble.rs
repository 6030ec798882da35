//! From frames to messages, one assembly for each sender.
//!
//! A node that came while a message was on its way has not seen its beginning.
//! It throws away what it gets of it, by the reference's rule to the letter,
//! so that all nodes that came then deliver the same (docs/spec/totem.md).

use std::collections::BTreeMap;

use bytes::Bytes;
use ha_types::Node;
use wire::{Malformed, Reader};

use super::{ASSEMBLY_MAX, FRAME_LEN, Group};

/// A message, whole, in its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who sent it.
    pub from: Node,
    /// Whom it is for.
    pub group: Group,
    /// What was sent.
    pub bytes: Bytes,
    /// Whether the sender's byte order is the other one.
    pub swapped: bool,
}

/// All assemblies of a node. Those of the synchronization are apart: an
/// ordinary message that was cut by a membership change goes on after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assembler {
    ordinary: BTreeMap<Node, Assembly>,
    sync: BTreeMap<Node, Assembly>,
    /// Which of them the next frames belong to.
    pub(crate) syncing: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Assembly {
    data: Vec<u8>,
    /// The mark that the next frame has to continue; 0: a beginning.
    expected: u8,
    throwing_away: bool,
}

impl Assembler {
    /// Of a node that is in no ring yet.
    pub(crate) fn syncing() -> Self {
        Self { syncing: true, ..Self::default() }
    }

    /// Takes a frame and hands out the messages that it completes.
    pub(crate) fn receive(
        &mut self,
        from: Node,
        body: &Bytes,
        swapped: bool,
        deliver: &mut impl FnMut(Delivery),
    ) -> Result<(), Malformed> {
        let frame = FrameView::decode(body, swapped)?;
        let set = if self.syncing { &mut self.sync } else { &mut self.ordinary };
        let mut assembly = set.remove(&from).unwrap_or_default();
        let messages = assembly.take(&frame);
        if frame.fragmented != 0 {
            set.insert(from, assembly);
        }
        for message in messages {
            let (groups, bytes) = Group::strip(&message, swapped)?;
            for group in groups {
                deliver(Delivery { from, group, bytes: bytes.clone(), swapped });
            }
        }
        Ok(())
    }

    /// Forgets what a node has begun that is not here any more.
    pub(crate) fn forget(&mut self, node: Node) {
        self.ordinary.remove(&node);
        self.sync.remove(&node);
    }
}

impl Assembly {
    /// [TOTEM-8] Only what continues the last fragment completes it.
    fn take(&mut self, frame: &FrameView) -> Vec<Bytes> {
        let fits = frame.continuation == self.expected
            || sansio::mutant::active("TOTEM-8/remove")
            || (sansio::mutant::active("TOTEM-8/weaken") && frame.continuation > 1);
        let mut messages = Vec::new();
        if self.throwing_away {
            self.throwing_away = frame.fragmented > 1;
        } else if fits {
            self.expected = frame.fragmented;
            messages = self.complete(frame);
        } else {
            self.throwing_away = true;
        }
        if let Some(rest) = frame.rest.as_ref().filter(|_| !self.throwing_away) {
            if frame.whole.is_empty() {
                self.data.extend_from_slice(rest);
            } else {
                self.data = rest.to_vec();
            }
        }
        if self.data.len() > ASSEMBLY_MAX {
            *self = Self { throwing_away: true, ..Self::default() };
        }
        messages
    }

    fn complete(&mut self, frame: &FrameView) -> Vec<Bytes> {
        let mut messages = frame.whole.clone();
        if let Some(first) = messages.first_mut().filter(|_| !self.data.is_empty()) {
            self.data.extend_from_slice(first);
            *first = std::mem::take(&mut self.data).into();
        }
        messages
    }
}

/// A frame in its parts.
struct FrameView {
    fragmented: u8,
    continuation: u8,
    /// Pieces that end a message.
    whole: Vec<Bytes>,
    /// The piece that goes on in the next frame.
    rest: Option<Bytes>,
}

impl FrameView {
    fn decode(body: &Bytes, swapped: bool) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        r.take(4, "version and type")?;
        let fragmented = r.u8("fragment mark")?;
        let continuation = r.u8("continuation mark")?;
        let order = |value: u16| usize::from(if swapped { value.swap_bytes() } else { value });
        let count = order(r.u16("number of messages")?);
        if count == 0 {
            return Err(r.refuse("at least one message"));
        }
        let mut at = FRAME_LEN + 2 * count;
        let mut whole = Vec::with_capacity(count);
        for _ in 0..count {
            let len = order(r.u16("length of a message")?);
            let end = at + len;
            if end > body.len() {
                return Err(r.refuse("messages within the frame"));
            }
            whole.push(body.slice(at..end));
            at = end;
        }
        if at != body.len() {
            return Err(Malformed { at, wanted: "the end of the frame" });
        }
        let rest = if fragmented == 0 { None } else { whole.pop() };
        Ok(Self { fragmented, continuation, whole, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Lanes, Submission};
    use super::*;

    fn byte(at: usize) -> u8 {
        u8::try_from(at % 251).unwrap()
    }

    fn frames(lens: &[usize]) -> Vec<Bytes> {
        let mut lanes = Lanes::new(200, 1 << 20, 1 << 20);
        lanes.sync_done();
        for len in lens {
            let bytes = (0..*len).map(byte).collect::<Vec<_>>().into();
            let message = Submission { group: Group::Services, safe: false, bytes };
            lanes.submit(Class::Ordinary, message).unwrap();
        }
        std::iter::from_fn(|| lanes.next_frame()).map(|frame| frame.body.into()).collect()
    }

    fn receive(assembler: &mut Assembler, frames: &[Bytes]) -> Vec<usize> {
        let mut lens = Vec::new();
        for frame in frames {
            let mut deliver = |delivery: Delivery| {
                let pattern = delivery.bytes.iter().enumerate();
                assert!(pattern.into_iter().all(|(i, found)| *found == byte(i)));
                lens.push(delivery.bytes.len());
            };
            assembler.receive(Node(1), frame, false, &mut deliver).unwrap();
        }
        lens
    }

    #[test]
    fn what_is_packed_is_assembled() {
        let lens = [0, 1, 5, 170, 171, 500, 3, 70_000, 9];
        let mut assembler = Assembler::default();
        assert_eq!(receive(&mut assembler, &frames(&lens)), lens);
        assert!(assembler.ordinary.is_empty());
    }

    /// [TOTEM-8] Its frames are thrown away whole, as the reference does.
    fn throws_the_unfinished_away() -> bool {
        [1, 2, 3].iter().all(|missed| {
            let mut assembler = Assembler::default();
            let nothing = receive(&mut assembler, &frames(&[1000, 20])[*missed..]).is_empty();
            nothing && receive(&mut assembler, &frames(&[7])) == [7]
        })
    }

    #[test]
    fn without_its_beginning_a_message_is_thrown_away() {
        assert!(throws_the_unfinished_away());
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn planted_mistakes_in_assembly_are_found() {
        for mutant in ["TOTEM-8/remove", "TOTEM-8/weaken"] {
            sansio::mutant::set(Some(mutant));
            let holds = std::panic::catch_unwind(throws_the_unfinished_away).unwrap_or(false);
            sansio::mutant::set(None);
            assert!(!holds, "{mutant} survives");
        }
    }

    #[test]
    fn synchronization_does_not_disturb_a_message_in_progress() {
        let (large, small) = (frames(&[1000]), frames(&[8]));
        let mut assembler = Assembler::default();
        assert!(receive(&mut assembler, &large[..3]).is_empty());
        assembler.syncing = true;
        assert_eq!(receive(&mut assembler, &small), [8]);
        assembler.syncing = false;
        assert_eq!(receive(&mut assembler, &large[3..]), [1000]);
    }

    #[test]
    fn a_node_that_left_begins_anew() {
        let large = frames(&[1000]);
        let mut assembler = Assembler::default();
        receive(&mut assembler, &large[..3]);
        assembler.forget(Node(1));
        assert!(receive(&mut assembler, &large[3..]).is_empty());
    }

    #[test]
    fn frames_that_lie_are_refused() {
        let good = &frames(&[5, 300])[0];
        let mut assembler = Assembler::default();
        let mut deliver = |_| panic!("delivered");
        for len in 0..good.len() {
            assert!(assembler.receive(Node(1), &good.slice(..len), false, &mut deliver).is_err());
        }
        for count in [0_u16, 3, 1000, u16::MAX] {
            let mut bad = good.to_vec();
            bad[6..8].copy_from_slice(&count.to_le_bytes());
            assert!(assembler.receive(Node(1), &bad.into(), false, &mut deliver).is_err());
        }
    }
}
