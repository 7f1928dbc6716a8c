//! Encoding: replies for one connection, pushes once for all that speak the same format.
//!
//! A **message** is a JSON object without a line break, or a protobuf message after its length. A frame holds one or
//! more: [`append`] puts them together. Text frames for JSON, binary ones for protobuf.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{encode_varint, message};

use super::Format;
use super::json_out;
use super::push::Push;
use super::reply::Reply;

/// Field number of `push` in a reply.
const PUSH_TAG: u32 = 4;

/// Adds an encoded message to a frame: after a line break in JSON (if it is not the first), as it is in protobuf.
pub(crate) fn append(frame: &mut Vec<u8>, message: &[u8], format: Format) {
    separate(frame, format);
    frame.extend_from_slice(message);
}

/// Encodes a reply at the end of a frame, as [`append`] would put it there.
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
    let mut out;
    match format {
        Format::Json => {
            // The envelope of a publication takes about 150 bytes beside channel and data.
            out = Vec::with_capacity(160 + push.encoded_len());
            json_out::push(&mut out, push);
        }
        Format::Protobuf => {
            let len = message::encoded_len(PUSH_TAG, push);
            out = Vec::with_capacity(len + 5);
            encode_varint(len as u64, &mut out);
            message::encode(PUSH_TAG, push, &mut out);
        }
    }
    out.into()
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
