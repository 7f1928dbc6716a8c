//! Encoding: replies for one connection, pushes once for all that speak the same format.
//!
//! A **message** is a JSON object without a line break, or a protobuf message after its length. A frame holds one or
//! more. Text frames for JSON, binary ones for protobuf.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{encode_varint, message};

use super::Format;
use super::json_out;
use super::json_write::ObjectWriter;
use super::push::{Publication, Push};
use super::reply::Reply;

/// Field number of `push` in a reply.
const PUSH_TAG: u32 = 4;
/// What a publication's push takes in JSON beside channel and data, about.
const JSON_ENVELOPE: usize = 160;

/// Adds an encoded message to a frame: after a line break in JSON (if it is not the first), as it is in protobuf.
#[cfg(test)]
pub(crate) fn append(frame: &mut Vec<u8>, message: &[u8], format: Format) {
    separate(frame, format);
    frame.extend_from_slice(message);
}

/// Encodes a reply at the end of a frame.
pub(crate) fn encode_reply(reply: &Reply, format: Format, frame: &mut Vec<u8>) {
    separate(frame, format);
    match format {
        Format::Json => json_out::reply(frame, reply),
        Format::Protobuf => {
            encode_varint(reply.encoded_len() as u64, frame);
            reply.encode_raw(frame);
        }
    }
}

/// Encodes a reply as a message of its own.
#[must_use]
pub(crate) fn encoded_reply(reply: &Reply, format: Format) -> Bytes {
    let mut out = Vec::with_capacity(128);
    encode_reply(reply, format, &mut out);
    out.into()
}

/// Encodes a push as a message that all connections of this format share.
#[must_use]
pub(crate) fn encode_push(push: &Push, format: Format) -> Bytes {
    let mut out = Vec::new();
    append_push(&mut out, push, format);
    out.into()
}

/// Encodes a push at the end of a frame.
pub(crate) fn append_push(frame: &mut Vec<u8>, push: &Push, format: Format) {
    separate(frame, format);
    match format {
        Format::Json => {
            frame.reserve(JSON_ENVELOPE + push.encoded_len());
            json_out::push(frame, push);
        }
        Format::Protobuf => {
            let len = message::encoded_len(PUSH_TAG, push);
            frame.reserve(len + 5);
            encode_varint(len as u64, frame);
            message::encode(PUSH_TAG, push, frame);
        }
    }
}

/// Encodes in JSON, at the end of a frame, the push of a publication whose data is the object that `data` writes, of about
/// `len` bytes: nothing is copied that is written.
pub(in crate::api) fn append_publication(
    frame: &mut Vec<u8>,
    channel: &str,
    rest: &Publication,
    len: usize,
    data: impl FnOnce(&mut ObjectWriter<'_>),
) {
    separate(frame, Format::Json);
    frame.reserve(JSON_ENVELOPE + channel.len() + len);
    json_out::publication_around(frame, channel, rest, data);
}

/// The server's ping: an empty reply.
#[must_use]
pub(crate) fn encode_ping(format: Format) -> Bytes {
    Bytes::from_static(match format {
        Format::Json => b"{}",
        Format::Protobuf => b"\0",
    })
}

fn separate(frame: &mut Vec<u8>, format: Format) {
    if format == Format::Json && !frame.is_empty() {
        frame.push(b'\n');
    }
}
