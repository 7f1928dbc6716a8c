//! WebSocket frames from a client (RFC 6455, section 5), pure: bytes in, messages out. An idle reader owns no memory.

use super::utf8::{NotUtf8, Utf8};

/// The bit that says that a frame is a message's last one.
const FIN: u8 = 0x80;
/// The bits for extensions; none is ever agreed upon.
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// Bytes of one read: room for so many is made when none is left.
const READ_BYTES: usize = 8 * 1024;

/// What a client sent.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum ClientMessage<'a> {
    /// A whole text or binary message.
    Data(&'a [u8]),
    /// A ping, to be answered with its payload.
    Ping(&'a [u8]),
    /// An answer to a ping of ours.
    Pong,
    /// The client closes.
    Close,
}

/// Why a stream of bytes is no WebSocket any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// A message above the bound.
    #[error("message is too big")]
    TooBig,
    /// Against the rules of framing.
    #[error("bad frame: {0}")]
    Protocol(&'static str),
    /// A text, or the reason of a close, that is no UTF-8.
    #[error("a text that is no UTF-8")]
    NotUtf8,
}

impl From<NotUtf8> for ReadError {
    fn from(_: NotUtf8) -> Self {
        Self::NotUtf8
    }
}

/// Puts messages together.
#[derive(Debug)]
pub(super) struct FrameReader {
    /// Bytes that came and are not handed out, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    /// The fragments so far of a message in several frames; `handed_out` once it is whole.
    fragments: Vec<u8>,
    fragmented: bool,
    /// Whether the message in several frames is a text.
    is_text: bool,
    /// The text of the message under way.
    text: Utf8,
    /// Bytes of the frame under way that are in it.
    looked_at: usize,
    max_bytes: usize,
}

struct Header {
    opcode: u8,
    is_final: bool,
    /// Of the header itself, mask included.
    len: usize,
    mask: [u8; 4],
    payload: usize,
}

impl FrameReader {
    /// A reader of messages of at most `max_bytes`. `begun` was read already.
    pub(crate) fn new(max_bytes: usize, begun: Vec<u8>) -> Self {
        Self {
            buffer: begun,
            start: 0,
            fragments: Vec::new(),
            fragmented: false,
            is_text: false,
            text: Utf8::default(),
            looked_at: 0,
            max_bytes,
        }
    }

    /// Where bytes from the socket go, behind what is there: with room for some, so that they are read to where they stay.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 8 {
            self.buffer.reserve(READ_BYTES);
        }
        &mut self.buffer
    }

    /// The next message, if it is there. After an error, the connection must end.
    pub(crate) fn next(&mut self) -> Result<Option<ClientMessage<'_>>, ReadError> {
        loop {
            if !self.fragmented && !self.fragments.is_empty() {
                // Handed out with the call before.
                self.fragments = Vec::new();
            }
            let Some(header) = self.header()? else { return Ok(None) };
            if self.buffer.len() - self.start < header.len + header.payload {
                self.look_ahead(&header)?;
                self.make_room(header.len + header.payload);
                return Ok(None);
            }
            let from = self.start + header.len;
            let to = from + header.payload;
            self.start = to;
            unmask(&mut self.buffer[from..to], header.mask);
            let payload = from..to;
            if self.is_of_text(&header) {
                self.text.push(&self.buffer[from + std::mem::take(&mut self.looked_at)..to])?;
                if header.is_final {
                    self.text.end()?;
                }
            }
            return Ok(Some(match (header.opcode, header.is_final) {
                (1 | 2, true) => ClientMessage::Data(&self.buffer[payload]),
                (0, is_final) => {
                    self.fragments.extend_from_slice(&self.buffer[payload]);
                    if !is_final {
                        continue;
                    }
                    self.fragmented = false;
                    ClientMessage::Data(&self.fragments)
                }
                (opcode @ (1 | 2), false) => {
                    self.fragmented = true;
                    self.is_text = opcode == 1;
                    self.fragments.extend_from_slice(&self.buffer[payload]);
                    continue;
                }
                (8, _) => {
                    check_close(&self.buffer[payload])?;
                    ClientMessage::Close
                }
                (9, _) => ClientMessage::Ping(&self.buffer[payload]),
                _ => ClientMessage::Pong,
            }));
        }
    }

    /// Gives back memory that is not needed now. To be called when the socket has nothing more.
    pub(crate) fn rest(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
    }

    fn is_of_text(&self, header: &Header) -> bool {
        header.opcode == 1 || (header.opcode == 0 && self.is_text)
    }

    /// Judges what has come of a text's frame: a client that sends what is no text is told before it has sent all of it.
    fn look_ahead(&mut self, header: &Header) -> Result<(), ReadError> {
        if !self.is_of_text(header) {
            return Ok(());
        }
        let came = &self.buffer[(self.start + header.len).min(self.buffer.len())..];
        let fresh = came.iter().enumerate().skip(self.looked_at).map(|(at, byte)| byte ^ header.mask[at % 4]);
        let fresh: Vec<u8> = fresh.collect();
        self.looked_at += fresh.len();
        Ok(self.text.push(&fresh)?)
    }

    /// Room for the whole frame, and for what comes with its end: whatever is read of it stays where it is.
    fn make_room(&mut self, frame: usize) {
        self.rest();
        if self.buffer.capacity() < frame + READ_BYTES / 8 {
            self.buffer.reserve(frame + READ_BYTES - self.buffer.len());
        }
    }

    /// The next frame's header, checked; none if it is not whole yet.
    fn header(&self) -> Result<Option<Header>, ReadError> {
        let bytes = &self.buffer[self.start..];
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (opcode, is_final) = (first & 0x0F, first & FIN != 0);
        if first & RESERVED != 0 {
            return Err(ReadError::Protocol("reserved bits"));
        }
        if second & MASKED == 0 {
            return Err(ReadError::Protocol("not masked"));
        }
        let short = second & !MASKED;
        let (payload, len) = match short {
            126 => match bytes.get(2..4) {
                Some(n) => (u64::from(u16::from_be_bytes([n[0], n[1]])), 4),
                None => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|n| n.try_into().ok()) {
                Some(n) => (u64::from_be_bytes(n), 10),
                None => return Ok(None),
            },
            n => (u64::from(n), 2),
        };
        match opcode {
            0 if !self.fragmented => return Err(ReadError::Protocol("continues nothing")),
            1 | 2 if self.fragmented => return Err(ReadError::Protocol("a message inside a message")),
            0..=2 => {}
            8..=10 if is_final && short <= 125 => {}
            8..=10 => return Err(ReadError::Protocol("bad control frame")),
            _ => return Err(ReadError::Protocol("unknown opcode")),
        }
        // A control frame is small; others add to what came before.
        let before = if opcode <= 2 { self.fragments.len() } else { 0 };
        if payload > (self.max_bytes - before.min(self.max_bytes)) as u64 && opcode <= 2 {
            return Err(ReadError::TooBig);
        }
        let Some(mask) = bytes.get(len..len + 4).and_then(|mask| mask.try_into().ok()) else { return Ok(None) };
        Ok(Some(Header { opcode, is_final, len: len + 4, mask, payload: payload as usize }))
    }
}

/// Whether a close frame says what it may (RFC 6455, 5.5.1 and 7.4): nothing, or a code for the wire and a reason in UTF-8.
fn check_close(payload: &[u8]) -> Result<(), ReadError> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(()) } else { Err(ReadError::Protocol("half a close code")) };
    };
    match u16::from_be_bytes([*high, *low]) {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(ReadError::Protocol("a close code that is not for the wire")),
    }
    std::str::from_utf8(reason).map(|_| ()).map_err(|_| ReadError::NotUtf8)
}

/// Takes the mask off (RFC 6455, section 5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = [a, b, c, d, a, b, c, d];
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        for (byte, mask) in chunk.iter_mut().zip(wide) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(wide) {
        *byte ^= mask;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a client sends it.
    pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..=125 => frame.push(MASKED | len as u8),
            len @ 126..=65_535 => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                frame.push(MASKED | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    fn reader() -> FrameReader {
        FrameReader::new(1_000, Vec::new())
    }

    fn owned(message: &ClientMessage<'_>) -> (u8, Vec<u8>) {
        match message {
            ClientMessage::Data(data) => (1, data.to_vec()),
            ClientMessage::Ping(data) => (9, data.to_vec()),
            ClientMessage::Pong => (10, Vec::new()),
            ClientMessage::Close => (8, Vec::new()),
        }
    }

    fn all(reader: &mut FrameReader, bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, ReadError> {
        reader.space().extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(message) = reader.next()? {
            messages.push(owned(&message));
        }
        Ok(messages)
    }

    #[test]
    fn messages_come_out_as_they_were_sent() {
        let mut bytes = frame(FIN | 1, b"hello");
        bytes.extend(frame(FIN | 9, b"?"));
        bytes.extend(frame(FIN | 2, &[7; 300]));
        bytes.extend(frame(FIN | 10, b""));
        bytes.extend(frame(FIN | 8, &[3, 232]));
        let expected = [(1, b"hello".to_vec()), (9, b"?".to_vec()), (1, vec![7; 300]), (10, vec![]), (8, vec![])];
        assert_eq!(all(&mut reader(), &bytes).unwrap(), expected);
    }

    #[test]
    fn a_message_in_many_frames_is_whole_with_control_frames_between() {
        let mut bytes = frame(1, b"he");
        bytes.extend(frame(0, b"l"));
        bytes.extend(frame(FIN | 9, b"ping"));
        bytes.extend(frame(FIN, b"lo"));
        bytes.extend(frame(FIN | 1, b"next"));
        let expected = [(9, b"ping".to_vec()), (1, b"hello".to_vec()), (1, b"next".to_vec())];
        assert_eq!(all(&mut reader(), &bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_against_the_rules_is_refused() {
        let mut unmasked = frame(FIN | 1, b"x");
        unmasked[1] &= !MASKED;
        let mut inside = frame(1, b"a");
        inside.extend(frame(FIN | 1, b"b"));
        for (bytes, what) in [
            (frame(FIN | 0x40 | 1, b"x"), "reserved bits"),
            (unmasked, "not masked"),
            (frame(FIN, b"x"), "continues nothing"),
            (inside, "a message inside a message"),
            (frame(9, b"x"), "bad control frame"),
            (frame(FIN | 9, &[0; 126]), "bad control frame"),
            (frame(FIN | 3, b"x"), "unknown opcode"),
        ] {
            assert_eq!(all(&mut reader(), &bytes), Err(ReadError::Protocol(what)));
        }
    }

    #[test]
    fn a_close_says_what_it_may_and_nothing_else() {
        let close = |payload: &[u8]| all(&mut reader(), &frame(FIN | 8, payload));
        for code in [1000_u16, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
            let mut payload = code.to_be_bytes().to_vec();
            assert!(close(&payload).is_ok(), "{code}");
            payload.extend("bye \u{e4}".bytes());
            assert!(close(&payload).is_ok(), "{code}");
        }
        assert!(close(b"").is_ok());
        assert_eq!(close(&[3]), Err(ReadError::Protocol("half a close code")));
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            assert_eq!(
                close(&code.to_be_bytes()),
                Err(ReadError::Protocol("a close code that is not for the wire")),
                "{code}"
            );
        }
        assert_eq!(close(&[3, 232, 0xff]), Err(ReadError::NotUtf8));
    }

    #[test]
    fn a_text_that_is_none_is_found_before_its_end() {
        let text = frame(FIN | 1, b"abc\xffdefghi");
        for cut in 10..=text.len() {
            assert_eq!(all(&mut reader(), &text[..cut]), Err(ReadError::NotUtf8), "{cut}");
        }
        assert_eq!(all(&mut reader(), &text[..9]), Ok(vec![]), "so far it is one");
        let mut parts = frame(1, b"caf\xc3");
        parts.extend(frame(FIN | 9, b"\xff"));
        assert!(all(&mut reader(), &parts).is_ok(), "a cut character, and a ping of any bytes");
        let mut good = parts.clone();
        good.extend(frame(FIN, b"\xa9"));
        assert_eq!(all(&mut reader(), &good).unwrap()[1].1, "caf\u{e9}".as_bytes());
        for end in [&b""[..], b"x", b"\xc3"] {
            let mut bad = parts.clone();
            bad.extend(frame(FIN, end));
            assert_eq!(all(&mut reader(), &bad), Err(ReadError::NotUtf8));
        }
        assert!(all(&mut reader(), &frame(FIN | 2, b"\xff")).is_ok(), "bytes are bytes");
        let mut next = frame(FIN | 2, b"\xff");
        next.extend(frame(1, b"\xc3"));
        next.extend(frame(FIN, b"\xa9"));
        next.extend(frame(2, b"\xc3"));
        next.extend(frame(FIN, b"\xc3"));
        assert!(all(&mut reader(), &next).is_ok());
    }

    #[test]
    fn a_message_above_the_bound_is_refused_by_its_header() {
        assert_eq!(all(&mut reader(), &frame(FIN | 1, &[0; 1_001])[..14]), Err(ReadError::TooBig));
        assert_eq!(all(&mut reader(), &[FIN | 2, MASKED | 127, 255, 255, 255, 255, 255, 255, 255, 255]), {
            Err(ReadError::TooBig)
        });
        let mut parts = frame(2, &[0; 900]);
        parts.extend(frame(FIN, &[0; 101]));
        assert_eq!(all(&mut reader(), &parts), Err(ReadError::TooBig));
        assert!(all(&mut reader(), &frame(FIN | 1, &[0; 1_000])).is_ok());
    }

    #[test]
    fn what_is_read_of_a_long_frame_stays_where_it_was_read_to() {
        let mut reader = FrameReader::new(1 << 20, Vec::new());
        let frame = frame(FIN | 2, &[7; 100_000]);
        let (first, rest) = frame.split_at(14);
        assert_eq!(all(&mut reader, first), Ok(vec![]));
        let (lies_at, mut message) = (reader.buffer.as_ptr(), Vec::new());
        for part in rest.chunks(READ_BYTES) {
            reader.rest();
            message.extend(all(&mut reader, part).unwrap());
        }
        assert_eq!(message, [(1, vec![7; 100_000])]);
        assert_eq!(reader.buffer.as_ptr(), lies_at);
    }

    #[test]
    fn an_idle_reader_owns_no_memory() {
        let mut reader = reader();
        all(&mut reader, &frame(FIN | 1, &[0; 1_000])).unwrap();
        reader.rest();
        assert_eq!((reader.buffer.capacity(), reader.fragments.capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..8),
            cuts in proptest::collection::vec(1usize..200, 1..20),
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(FIN | 2, payload)).collect();
            let mut reader = reader();
            let (mut rest, mut messages, mut at) = (&bytes[..], Vec::new(), 0);
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts[at % cuts.len()].min(rest.len()));
                messages.extend(all(&mut reader, now).unwrap());
                reader.rest();
                (rest, at) = (later, at + 1);
            }
            prop_assert_eq!(messages.into_iter().map(|(_, data)| data).collect::<Vec<_>>(), payloads);
        }

        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = all(&mut reader(), &bytes);
        }
    }
}
