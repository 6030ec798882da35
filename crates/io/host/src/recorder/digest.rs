//! A digest of outputs, by which replay finds that a core did the same again.

use std::fmt::{self, Debug, Write};

use sansio::edge::Output;

/// Folds outputs into 64 bits. Not cryptographic: it compares a program with
/// itself, nobody gains by a collision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) count: u64,
    pub(crate) hash: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { count: 0, hash: 0x9e37_79b9_7f4a_7c15 }
    }
}

impl Digest {
    /// Adds an output with all its fields. The frequent ones with bytes in them
    /// go without the detour over text.
    pub(crate) fn add<J: Debug>(&mut self, output: &Output<J>) {
        self.count += 1;
        match output {
            Output::Send { link, to, bytes } => {
                self.text(format_args!("send {} {to}", link.0));
                self.bytes(bytes);
            }
            Output::Frame { conn, frame } => {
                let (channel, id, error) = (frame.channel, frame.id, frame.error);
                self.text(format_args!("frame {} {channel:?} {id} {error}", conn.0));
                self.bytes(&frame.body);
            }
            Output::Persist { id, name, bytes } => {
                self.text(format_args!("persist {} {name}", id.0));
                self.bytes(bytes);
            }
            other => self.text(format_args!("{other:?}")),
        }
    }

    fn text(&mut self, text: fmt::Arguments<'_>) {
        // Only a Debug of the core's own could fail, and then it fails alike in replay.
        let _ = self.write_fmt(text);
        self.word(0x1f);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn word(&mut self, word: u64) {
        let mixed = (self.hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.hash = (mixed ^ (mixed >> 32)).wrapping_add(1);
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Byte by byte, since Debug may cut the same text into other pieces.
        text.bytes().for_each(|byte| self.word(u64::from(byte)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sansio::edge::{Link, PersistId};

    use super::*;

    #[test]
    fn every_field_counts() {
        let of = |outputs: &[Output<u8>]| {
            let mut digest = Digest::default();
            outputs.iter().for_each(|output| digest.add(output));
            digest
        };
        let send = |port, bytes: &[u8]| Output::Send {
            link: Link(0),
            to: ([127, 0, 0, 1], port).into(),
            bytes: bytes.to_vec(),
        };
        let persist = |id| Output::Persist { id: PersistId(id), name: "a".into(), bytes: vec![] };
        let all = [
            of(&[]),
            of(&[send(1, b"x")]),
            of(&[send(2, b"x")]),
            of(&[send(1, b"y")]),
            of(&[send(1, b"x\0")]),
            of(&[send(1, b"x"), send(1, b"x")]),
            of(&[persist(1)]),
            of(&[persist(2)]),
            of(&[Output::Ready]),
            of(&[Output::Exit { code: 0 }]),
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(a == b, i == j, "{i} {j}");
            }
        }
    }
}
