//! Type SHM: three rings of two files each.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sansio::edge::{Channel, Credentials};

use super::{Opening, Sent, cut};
use crate::chunk;
use crate::directory::{self, PREFIX};
use crate::error::Error;
use crate::memory::{self, Region};
use crate::message::{
    self, ConnectionResponse, REQUEST_HEADER_SIZE, RESPONSE_HEADER_SIZE, ResponseHeader,
};
use crate::ring::{Broken, HEADER_FILE_MIN, HEADER_FILE_SIZE, Ring, RingReader, RingWriter};

const CHANNELS: [&str; 3] = ["request", "response", "event"];

/// The server's ends of the rings.
pub(crate) struct ShmServer {
    pub(super) request: RingReader,
    response: RingWriter,
    event: RingWriter,
}

impl ShmServer {
    pub(super) fn create(opening: &Opening<'_>) -> io::Result<(Self, ConnectionResponse)> {
        let data_size = chunk::data_size(opening.max_msg_size, memory::page_size());
        let stem = |channel: &str| format!("{PREFIX}-{channel}-{}", opening.service);
        let mut files = Vec::new();
        for channel in CHANNELS {
            for (suffix, len) in [("header", HEADER_FILE_SIZE), ("data", data_size)] {
                let name = format!("{}-{suffix}", stem(channel));
                files.push((opening.directory.file(&name, len, opening.grant)?, len));
            }
        }
        let folder = opening.directory.base();
        let folder = folder.trim_end_matches(PREFIX);
        let names = CHANNELS.map(|channel| format!("{folder}{}", stem(channel)));
        let [request, response, event] = map(&files, data_size)?;
        for (ring, name) in [&request, &response, &event].into_iter().zip(&names) {
            ring.initialise(&format!("{name}-header"), &format!("{name}-data"));
        }
        let rings = Self {
            request: RingReader::new(request),
            response: RingWriter::new(response),
            event: RingWriter::new(event),
        };
        let [request, response, event] = names;
        Ok((rings, ConnectionResponse { request, response, event, ..Default::default() }))
    }

    pub(super) fn try_receive(&mut self, max: u32) -> Result<Option<(i32, Vec<u8>)>, Broken> {
        let mut head = [0; REQUEST_HEADER_SIZE];
        let mut body = Vec::new();
        let Some(len) = self.request.try_read(max, &mut head, &mut body)? else { return Ok(None) };
        if len < REQUEST_HEADER_SIZE {
            return Err(Broken(format!("a request of {len} bytes")));
        }
        let header = message::decode_request_header(&head).map_err(|e| Broken(e.to_string()))?;
        cut(header.size, REQUEST_HEADER_SIZE, len, &mut body)?;
        Ok(Some((header.id, body)))
    }

    pub(super) fn try_send(
        &mut self,
        channel: Channel,
        header: &[u8; RESPONSE_HEADER_SIZE],
        body: &[u8],
    ) -> Result<Sent, Broken> {
        let ring = if channel == Channel::Event { &mut self.event } else { &mut self.response };
        Ok(if ring.try_write(&[header, body])? { Sent::Yes } else { Sent::Full })
    }

    pub(super) fn set_flow_control(&self, level: u8) {
        self.request.ring.flow_control().store(i32::from(level), Ordering::Release);
    }

    pub(super) fn event_queue_length(&self) -> u32 {
        self.event.ring.semaphore().value()
    }

    pub(super) fn release(&self) {
        for ring in [&self.response.ring, &self.event.ring, &self.request.ring] {
            ring.release();
        }
    }
}

/// The client's ends of the rings.
pub(crate) struct ShmClient {
    request: RingWriter,
    response: RingReader,
    event: RingReader,
}

impl ShmClient {
    pub(super) fn open(
        response: &ConnectionResponse,
        root: &Path,
        server: Credentials,
    ) -> Result<Self, Error> {
        let data_size = chunk::data_size(response.max_msg_size, memory::page_size());
        let mut files = Vec::new();
        for name in [&response.request, &response.response, &response.event] {
            let header_name = format!("{name}-header");
            let header = directory::open_given(root, &header_name, HEADER_FILE_MIN, server.uid)?;
            let data_name = data_name(&header, data_size)?;
            let data = directory::open_given(root, &data_name, data_size, server.uid)?;
            files.push((header, HEADER_FILE_SIZE));
            files.push((data, data_size));
        }
        let rings = map(&files, data_size)?;
        for ring in &rings {
            ring.references().fetch_add(1, Ordering::AcqRel);
        }
        let [request, response, event] = rings;
        Ok(Self {
            request: RingWriter::new(request),
            response: RingReader::new(response),
            event: RingReader::new(event),
        })
    }

    pub(super) fn flow_control(&self) -> Result<i32, Error> {
        let ring = &self.request.ring;
        match ring.references().load(Ordering::Acquire) {
            2 => Ok(ring.flow_control().load(Ordering::Acquire)),
            _ => Err(Error::Disconnected("the server has left".into())),
        }
    }

    pub(super) fn try_send(&mut self, header: &[u8], body: &[u8]) -> Result<Sent, Error> {
        Ok(if self.request.try_write(&[header, body])? { Sent::Yes } else { Sent::Full })
    }

    pub(crate) fn reader(&self, channel: Channel) -> &RingReader {
        if channel == Channel::Event { &self.event } else { &self.response }
    }

    pub(super) fn try_receive(
        &mut self,
        channel: Channel,
        max: u32,
        body: &mut Vec<u8>,
    ) -> Result<Option<ResponseHeader>, Error> {
        let ring = if channel == Channel::Event { &mut self.event } else { &mut self.response };
        let mut head = [0; RESPONSE_HEADER_SIZE];
        let Some(len) = ring.try_read(max, &mut head, body)? else { return Ok(None) };
        if len < RESPONSE_HEADER_SIZE {
            return Err(Error::Malformed(format!("a response of {len} bytes")));
        }
        let header = message::decode_response_header(&head)?;
        cut(header.size, RESPONSE_HEADER_SIZE, len, body)?;
        Ok(Some(header))
    }

    /// The ring of responses, for whoever waits for its semaphore.
    pub(crate) fn response_ring(&self) -> Ring {
        self.response.ring.clone()
    }

    pub(super) fn release(&self) {
        for ring in [&self.request.ring, &self.response.ring, &self.event.ring] {
            ring.release();
        }
    }
}

/// Maps header and data of three rings into one region.
fn map(files: &[(File, usize)], data_size: usize) -> io::Result<[Ring; 3]> {
    let files: Vec<_> = files.iter().map(|(file, len)| (file.as_fd(), *len)).collect();
    let (region, at) = Region::map(&files)?;
    let region = Arc::new(region);
    Ok([0, 2, 4].map(|i| Ring::new(Arc::clone(&region), at[i], at[i + 1], data_size)))
}

/// Where the header says that the data lie; also checks the size it claims.
fn data_name(header: &File, data_size: usize) -> Result<String, Error> {
    let mut bytes = vec![0; HEADER_FILE_MIN];
    header.read_exact_at(&mut bytes, 0)?;
    let claimed = Ring::claimed_words(&bytes) as usize * 4;
    if claimed != data_size {
        return Err(Error::Malformed(format!("a ring of {claimed} bytes, not {data_size}")));
    }
    let name = message::text_field(Ring::data_path(&bytes));
    name.map(str::to_string).ok_or_else(|| Error::Malformed("a ring without a name".into()))
}
