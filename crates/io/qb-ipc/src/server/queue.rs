//! What waits for a client whose channels are full.
//!
//! Responses and events wait apart, as the channels fill apart; the bounds count
//! both together.

use std::collections::VecDeque;

use sansio::edge::Channel;

use super::config::Limits;
use crate::message::RESPONSE_HEADER_SIZE;

/// A response or event that waits.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: i32,
    pub(super) error: i32,
    pub(super) body: Vec<u8>,
}

impl Message {
    fn len(&self) -> usize {
        RESPONSE_HEADER_SIZE + self.body.len()
    }
}

/// What the application has to be told after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    Same,
    Blocked,
    Writable,
}

/// The messages that wait for one client.
#[derive(Debug, Default)]
pub(super) struct Queue {
    responses: VecDeque<Message>,
    events: VecDeque<Message>,
    bytes: usize,
    blocked: bool,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.responses.len() + self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.responses.is_empty() && self.events.is_empty()
    }

    pub(super) fn front(&self, channel: Channel) -> Option<&Message> {
        self.of(channel).front()
    }

    /// Adds a message. `None` if that exceeds the hard bound.
    pub(super) fn push(
        &mut self,
        channel: Channel,
        message: Message,
        limits: &Limits,
    ) -> Option<Pressure> {
        let bytes = self.bytes + message.len();
        if bytes > limits.queue_bytes || self.len() >= limits.queue_messages {
            return None;
        }
        self.bytes = bytes;
        match channel {
            Channel::Event => self.events.push_back(message),
            Channel::Response | Channel::Request => self.responses.push_back(message),
        }
        let full =
            self.bytes >= limits.queue_blocked_bytes || self.len() >= limits.queue_blocked_messages;
        if full && !self.blocked {
            self.blocked = true;
            return Some(Pressure::Blocked);
        }
        Some(Pressure::Same)
    }

    /// Removes the first message of a channel, which has been sent.
    pub(super) fn pop(&mut self, channel: Channel, limits: &Limits) -> Pressure {
        let popped = match channel {
            Channel::Event => self.events.pop_front(),
            Channel::Response | Channel::Request => self.responses.pop_front(),
        };
        self.bytes -= popped.map_or(0, |message| message.len());
        let room = self.bytes <= limits.queue_blocked_bytes / 2
            && self.len() <= limits.queue_blocked_messages / 2;
        if room && self.blocked {
            self.blocked = false;
            return Pressure::Writable;
        }
        Pressure::Same
    }

    fn of(&self, channel: Channel) -> &VecDeque<Message> {
        match channel {
            Channel::Event => &self.events,
            Channel::Response | Channel::Request => &self.responses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Message {
        Message { id: 0, error: 0, body: vec![0; len] }
    }

    #[test]
    fn it_says_blocked_once_and_writable_once() {
        let limits = Limits { queue_blocked_messages: 4, queue_messages: 6, ..Limits::default() };
        let mut queue = Queue::default();
        let mut said = Vec::new();
        for i in 0..6 {
            let channel = if i % 2 == 0 { Channel::Event } else { Channel::Response };
            said.push(queue.push(channel, message(1), &limits).unwrap());
        }
        use Pressure::{Blocked, Same, Writable};
        assert_eq!(said, [Same, Same, Same, Blocked, Same, Same]);
        assert_eq!(queue.push(Channel::Event, message(1), &limits), None);
        assert_eq!(queue.len(), 6);
        let mut said = Vec::new();
        for i in 0..6 {
            let channel = if i % 2 == 0 { Channel::Event } else { Channel::Response };
            said.push(queue.pop(channel, &limits));
        }
        assert_eq!(said, [Same, Same, Same, Writable, Same, Same]);
        assert!(queue.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let limits = Limits { queue_blocked_bytes: 100, queue_bytes: 200, ..Limits::default() };
        let mut queue = Queue::default();
        assert_eq!(queue.push(Channel::Event, message(90), &limits), Some(Pressure::Blocked));
        assert_eq!(queue.push(Channel::Event, message(90), &limits), None);
        assert_eq!(queue.push(Channel::Response, message(50), &limits), Some(Pressure::Same));
        assert_eq!(queue.pop(Channel::Event, &limits), Pressure::Same);
        assert_eq!(queue.pop(Channel::Response, &limits), Pressure::Writable);
    }
}
