//! WebSocket frames to a client: many messages in one frame, small ones copied together, large ones shared, and one
//! write for as much as the socket takes. An idle writer owns no memory.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::api::protocol::Format;

/// Pieces of at least so many bytes are written from where they lie.
const SHARED_FROM: usize = 4 * 1024;
/// Pieces given to one write.
const SLICES: usize = 16;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8A;

/// What is on its way to the socket.
#[derive(Default, Debug)]
pub(super) struct FrameWriter {
    pieces: VecDeque<Bytes>,
}

impl FrameWriter {
    /// Whether all is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// One frame with all these messages, in their order. No frame if there are none.
    pub(crate) fn messages(&mut self, format: Format, messages: impl ExactSizeIterator<Item = Bytes> + Clone) {
        if messages.len() == 0 {
            return;
        }
        let separators = if format == Format::Json { messages.len() - 1 } else { 0 };
        let len = messages.clone().map(|message| message.len()).sum::<usize>() + separators;
        let opcode = if format == Format::Json { TEXT } else { BINARY };
        let mut small = Vec::with_capacity(10 + if len < SHARED_FROM { len } else { 0 });
        header(&mut small, opcode, len);
        for (at, message) in messages.enumerate() {
            if at > 0 && format == Format::Json {
                small.push(b'\n');
            }
            if message.len() < SHARED_FROM {
                small.extend_from_slice(&message);
            } else {
                self.pieces.push_back(std::mem::take(&mut small).into());
                self.pieces.push_back(message);
            }
        }
        if !small.is_empty() {
            self.pieces.push_back(small.into());
        }
    }

    /// The answer to a ping.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        self.control(PONG, payload);
    }

    /// The last frame.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        self.control(CLOSE, &payload);
    }

    /// Writes until all is written, or the socket takes no more. Tells how many bytes it took.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices: [IoSlice<'_>; SLICES] = std::array::from_fn(|_| IoSlice::new(&[]));
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        let written = ready!(Pin::new(socket).poll_write_vectored(cx, &slices[..filled]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn control(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = Vec::with_capacity(2 + payload.len());
        header(&mut frame, opcode, payload.len());
        frame.extend_from_slice(payload);
        self.pieces.push_back(frame.into());
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        self.pieces = VecDeque::new();
    }
}

/// RFC 6455, section 5.2; a server does not mask.
fn header(out: &mut Vec<u8>, opcode: u8, len: usize) {
    out.push(opcode);
    match len {
        0..=125 => out.push(len as u8),
        126..=65_535 => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(writer: &mut FrameWriter, at_a_time: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(first) = writer.pieces.front() {
            let n = first.len().min(at_a_time);
            out.extend_from_slice(&first[..n]);
            writer.advance(n);
        }
        out
    }

    fn messages(list: &[&'static [u8]]) -> std::vec::IntoIter<Bytes> {
        list.iter().map(|message| Bytes::from_static(message)).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn json_messages_are_lines_of_one_text_frame() {
        let mut writer = FrameWriter::default();
        writer.messages(Format::Json, messages(&[b"{}", b"{1}"]));
        assert_eq!(written(&mut writer, 3), b"\x81\x06{}\n{1}");
        assert_eq!(writer.pieces.capacity(), 0);
    }

    #[test]
    fn protobuf_messages_follow_each_other_in_a_binary_frame() {
        let mut writer = FrameWriter::default();
        writer.messages(Format::Protobuf, messages(&[b"\x01a", b"\x02bc"]));
        assert_eq!(written(&mut writer, 100), b"\x82\x05\x01a\x02bc");
    }

    #[test]
    fn a_large_message_is_shared_and_not_copied() {
        let large = Bytes::from(vec![b'x'; 70_000]);
        let mut writer = FrameWriter::default();
        let list = vec![Bytes::from_static(b"a"), large.clone(), Bytes::from_static(b"b")];
        writer.messages(Format::Json, list.into_iter());
        assert!(writer.pieces.iter().any(|piece| piece.as_ptr() == large.as_ptr()));
        let out = written(&mut writer, 999);
        assert_eq!(&out[..10], b"\x81\x7f\x00\x00\x00\x00\x00\x01\x11\x74");
        assert_eq!((out.len(), &out[10..12], &out[out.len() - 2..]), (70_014, &b"a\n"[..], &b"\nb"[..]));
    }

    #[test]
    fn a_close_carries_code_and_reason() {
        let mut writer = FrameWriter::default();
        writer.pong(b"hi");
        writer.close(3008, "slow");
        assert_eq!(written(&mut writer, 1), b"\x8a\x02hi\x88\x06\x0b\xc0slow");
    }
}
