//! From messages to frames: small ones share a frame, large ones are cut.
//!
//! Frames are made when the token is here and not before: what waits is whole,
//! so nothing that was cut for one ring is left over for the next but the rest
//! of one message per lane.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::{FRAME_LEN, Group};

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The end of synchronization, after a membership change.
    Ordinary,
    /// Nothing: it is part of the synchronization.
    Sync,
}

/// How full the queue of outgoing messages is, with the reference's thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueLevel {
    /// Below 30 %.
    Low,
    /// Between 40 and 50 %.
    Good,
    /// Between 60 and 70 %.
    High,
    /// 75 % and more: no more requests of clients.
    Critical,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The queue is full; [`QueueLevel`] tells when it is worth another try.
    Full,
    /// Longer than the configured maximum.
    TooLong,
    /// This node has left.
    Stopped,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue of outgoing messages is full",
            Self::TooLong => "the message is longer than the maximum",
            Self::Stopped => "this node has left the ring",
        })
    }
}

impl std::error::Error for SubmitError {}

/// What the services want sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submission {
    pub(crate) group: Group,
    pub(crate) safe: bool,
    pub(crate) bytes: Bytes,
}

impl Submission {
    fn len(&self) -> usize {
        self.group.prefix().len() + self.bytes.len()
    }

    /// Appends `len` bytes of the addressed message from offset `at`.
    fn copy(&self, at: usize, len: usize, to: &mut Vec<u8>) {
        let prefix = self.group.prefix();
        let end = at + len;
        to.extend_from_slice(&prefix[at.min(prefix.len())..end.min(prefix.len())]);
        let skip = |offset: usize| offset.saturating_sub(prefix.len());
        to.extend_from_slice(&self.bytes[skip(at)..skip(end)]);
    }
}

/// The two queues of outgoing messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lanes {
    ordinary: Lane,
    sync: Lane,
    /// Whether only the synchronization may send.
    syncing: bool,
    frame_room: usize,
    queue_max: usize,
    message_max: usize,
    level: QueueLevel,
}

impl Lanes {
    pub(crate) fn new(frame_room: usize, queue_max: usize, message_max: usize) -> Self {
        let level = QueueLevel::Low;
        let (ordinary, sync) = (Lane::default(), Lane::default());
        Self { ordinary, sync, syncing: true, frame_room, queue_max, message_max, level }
    }

    /// Takes a message, or says why not.
    pub(crate) fn submit(&mut self, class: Class, message: Submission) -> Result<(), SubmitError> {
        if message.bytes.len() > self.message_max.min(super::ASSEMBLY_MAX - 64) {
            return Err(SubmitError::TooLong);
        }
        let lane = match class {
            Class::Sync if self.syncing => &mut self.sync,
            Class::Sync | Class::Ordinary => &mut self.ordinary,
        };
        if lane.waiting > 0 && lane.waiting + message.len() > self.queue_max {
            return Err(SubmitError::Full);
        }
        lane.waiting += message.len();
        lane.queue.push_back(message);
        Ok(())
    }

    /// The level, if it is another one than at the last call.
    pub(crate) fn level_change(&mut self) -> Option<QueueLevel> {
        let used = self.ordinary.waiting * 100 / self.queue_max.max(1);
        let level = match used {
            75.. => QueueLevel::Critical,
            61..70 => QueueLevel::High,
            41..50 => QueueLevel::Good,
            0..30 => QueueLevel::Low,
            _ => self.level,
        };
        (std::mem::replace(&mut self.level, level) != level).then_some(level)
    }

    /// How many frames wait, roughly: what the token is told.
    pub(crate) fn backlog(&self) -> u32 {
        let waiting = self.current().waiting;
        u32::try_from(waiting.div_ceil(self.frame_room)).unwrap_or(u32::MAX)
    }

    /// Cuts the next frame, if anything waits that may go now.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        let room = self.frame_room;
        let lane = if self.syncing { &mut self.sync } else { &mut self.ordinary };
        lane.next_frame(room)
    }

    /// A new membership: only its synchronization may send. The rest of a
    /// message that has begun in an older ring gets no company, since members
    /// that came later throw its frame away whole [TOTEM-8].
    pub(crate) fn membership_changed(&mut self) {
        self.syncing = true;
        for lane in [&mut self.ordinary, &mut self.sync] {
            lane.alone = lane.continuation != 0;
        }
    }

    /// The synchronization is over.
    pub(crate) fn sync_done(&mut self) {
        self.syncing = false;
        // What the synchronization has not sent by now nobody waits for, but it
        // is not lost either. A message cut in the middle is: its lane is gone.
        let mut rest = std::mem::take(&mut self.sync);
        if rest.sent > 0 {
            rest.queue.pop_front();
        }
        for message in rest.queue {
            self.ordinary.waiting += message.len();
            self.ordinary.queue.push_back(message);
        }
    }

    fn current(&self) -> &Lane {
        if self.syncing { &self.sync } else { &self.ordinary }
    }
}

/// A cut of a lane: the head of a frame and what to copy behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) safe: bool,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lane {
    queue: VecDeque<Submission>,
    /// Bytes that have not been sent.
    waiting: usize,
    /// How much of the first message has been sent.
    sent: usize,
    /// The mark of the last fragment, 0 when the first message has not begun.
    continuation: u8,
    /// Whether the end of the message in progress has its frame for itself.
    alone: bool,
}

impl Lane {
    fn next_frame(&mut self, room: usize) -> Option<Frame> {
        let lens = self.cut(room - FRAME_LEN);
        let last = lens.len().checked_sub(1)?;
        let end = if last == 0 { self.sent } else { 0 } + usize::from(lens[last]);
        let fragmented = if end < self.queue[last].len() { self.next_mark(last) } else { 0 };
        let mut body = Vec::with_capacity(room);
        body.extend_from_slice(&[0, 0, 0, 0, fragmented, self.continuation]);
        let count = u16::try_from(lens.len()).expect("a frame has room for fewer");
        body.extend_from_slice(&count.to_le_bytes());
        for len in &lens {
            body.extend_from_slice(&len.to_le_bytes());
        }
        let safe = self.copy_out(&lens, &mut body);
        self.sent = if fragmented == 0 { 0 } else { end };
        self.continuation = fragmented;
        self.alone &= fragmented != 0;
        Some(Frame { safe, body })
    }

    /// The lengths of the pieces that fill `room`.
    fn cut(&self, mut room: usize) -> Vec<u16> {
        // A fragment shorter than this is not worth the copy that assembling
        // it costs every receiver.
        const SHORTEST: usize = 64;
        let mut lens = Vec::new();
        for (index, message) in self.queue.iter().enumerate() {
            let rest = message.len() - if index == 0 { self.sent } else { 0 };
            let piece = rest.min(room.saturating_sub(2)).min(usize::from(u16::MAX));
            if piece < rest && index > 0 && piece < SHORTEST {
                break;
            }
            lens.push(u16::try_from(piece).expect("bounded above"));
            room -= piece + 2;
            if piece < rest || (index == 0 && self.alone) {
                break;
            }
        }
        lens
    }

    /// Counts fragments from 1 for each message; 1 is never used again in it,
    /// since receivers take it for a beginning.
    fn next_mark(&self, last: usize) -> u8 {
        if last > 0 || self.continuation == 0 {
            return 1;
        }
        self.continuation.checked_add(1).unwrap_or(2)
    }

    /// Copies the pieces, takes complete messages off the queue, and says
    /// whether one of them is to be safe.
    fn copy_out(&mut self, lens: &[u16], body: &mut Vec<u8>) -> bool {
        let mut safe = false;
        let mut at = self.sent;
        for len in lens {
            let len = usize::from(*len);
            let message = &self.queue[0];
            message.copy(at, len, body);
            safe |= message.safe;
            if at + len == message.len() {
                self.queue.pop_front();
            }
            self.waiting -= len;
            at = 0;
        }
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Submission {
        Submission { group: Group::Services, safe: false, bytes: vec![7; len].into() }
    }

    fn lanes() -> Lanes {
        let mut lanes = Lanes::new(200, 10_000, 5_000);
        lanes.sync_done();
        lanes
    }

    /// (fragmented, continuation, lengths) of the next frame.
    fn next(lanes: &mut Lanes) -> Option<(u8, u8, Vec<u16>)> {
        let body = lanes.next_frame()?.body;
        assert!(body.len() <= 200);
        let count = usize::from(u16::from_le_bytes([body[6], body[7]]));
        let lens = body[8..8 + 2 * count].chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        Some((body[4], body[5], lens.collect()))
    }

    #[test]
    fn small_messages_share_a_frame_and_large_ones_are_cut() {
        let mut lanes = lanes();
        for len in [5, 5, 300, 5] {
            lanes.submit(Class::Ordinary, message(len)).unwrap();
        }
        assert_eq!(next(&mut lanes), Some((1, 0, vec![10, 10, 166])));
        assert_eq!(next(&mut lanes), Some((0, 1, vec![139, 10])));
        assert_eq!(next(&mut lanes), None);
    }

    #[test]
    fn marks_count_on_and_skip_one() {
        let mut lanes = lanes();
        lanes.frame_room = 12;
        lanes.submit(Class::Ordinary, message(600)).unwrap();
        let marks: Vec<u8> = std::iter::from_fn(|| next(&mut lanes)).map(|f| f.0).collect();
        assert_eq!(marks[..3], [1, 2, 3]);
        assert_eq!(marks[253..257], [254, 255, 2, 3]);
        assert_eq!(marks.last(), Some(&0));
    }

    #[test]
    fn the_rest_of_a_message_of_an_older_ring_travels_alone() {
        let mut lanes = lanes();
        lanes.submit(Class::Ordinary, message(300)).unwrap();
        lanes.submit(Class::Ordinary, message(5)).unwrap();
        assert_eq!(next(&mut lanes), Some((1, 0, vec![190])));
        lanes.membership_changed();
        assert_eq!(next(&mut lanes), None, "synchronizing");
        lanes.submit(Class::Sync, message(1)).unwrap();
        assert_eq!(next(&mut lanes), Some((0, 0, vec![6])));
        lanes.sync_done();
        assert_eq!(next(&mut lanes), Some((0, 1, vec![115])));
        assert_eq!(next(&mut lanes), Some((0, 0, vec![10])));
    }

    #[test]
    fn the_queue_is_bounded_and_tells_its_level() {
        let mut lanes = lanes();
        assert_eq!(lanes.submit(Class::Ordinary, message(5_001)), Err(SubmitError::TooLong));
        assert_eq!(lanes.level_change(), None);
        lanes.submit(Class::Ordinary, message(5_000)).unwrap();
        lanes.submit(Class::Ordinary, message(4_000)).unwrap();
        assert_eq!(lanes.level_change(), Some(QueueLevel::Critical));
        assert_eq!(lanes.submit(Class::Ordinary, message(4_000)), Err(SubmitError::Full));
        while next(&mut lanes).is_some() {}
        assert_eq!(lanes.level_change(), Some(QueueLevel::Low));
        assert_eq!(lanes.backlog(), 0);
    }
}
