//! Frames from a client: many commands in one WebSocket message.
//!
//! JSON: one command a line. Protobuf: each command after its length as a varint. The number of commands and the
//! framing are checked before the first command is handed out; the commands are decoded one at a time, so that a small
//! frame never becomes large in memory. What is handed out is copied out of the frame.

use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::Format;
use super::codes::Disconnect;
use super::command::Command;
use super::json_in;
use crate::limits;

/// Bounds of a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Bytes of a frame.
    pub bytes: usize,
    /// Commands in a frame.
    pub commands: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { bytes: limits::FRAME_BYTES, commands: limits::FRAME_COMMANDS }
    }
}

/// Why a frame was refused. Says nothing of its content, so it may be logged.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// Too many bytes.
    #[error("frame has {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// No command in it.
    #[error("frame has no command")]
    Empty,
    /// Too many commands.
    #[error("frame has more than {max} commands")]
    TooManyCommands {
        /// The bound.
        max: usize,
    },
    /// Text that is not UTF-8.
    #[error("frame is not UTF-8")]
    NotUtf8,
    /// No JSON, or a field of a wrong type.
    #[error("bad JSON command at column {column}")]
    Json {
        /// Bytes from the start of the line.
        column: usize,
    },
    /// A length that goes past the end, or no length.
    #[error("bad length in a protobuf frame")]
    Length,
    /// No protobuf command, or a field of a wrong type.
    #[error("bad protobuf command")]
    Protobuf,
    /// More server-side subscriptions in a connect request than a connection may have.
    #[error("connect request has more than {max} subscriptions")]
    TooManySubscriptions {
        /// The bound.
        max: usize,
    },
}

impl FrameError {
    /// How the connection ends that sent such a frame.
    #[must_use]
    pub(crate) fn disconnect(&self) -> Disconnect {
        match self {
            Self::TooLarge { .. } => Disconnect::MESSAGE_TOO_BIG,
            _ => Disconnect::BAD_REQUEST,
        }
    }
}

/// The commands of a frame in their order; ends after the first error.
#[derive(Debug)]
pub struct Commands<'a> {
    rest: Remainder<'a>,
}

#[derive(Debug)]
enum Remainder<'a> {
    Json(&'a str),
    Protobuf(&'a [u8]),
    Over,
}

/// Opens a frame: checks size, framing and the number of commands, and decodes nothing yet.
///
/// # Errors
/// The frame is refused as a whole; see [`FrameError`].
pub(crate) fn decode_frame<'a>(
    frame: &'a [u8],
    format: Format,
    limits: &FrameLimits,
) -> Result<Commands<'a>, FrameError> {
    if frame.len() > limits.bytes {
        return Err(FrameError::TooLarge { len: frame.len(), max: limits.bytes });
    }
    let (count, rest) = match format {
        Format::Json => {
            let text = std::str::from_utf8(frame).map_err(|_| FrameError::NotUtf8)?;
            (lines(text).take(limits.commands + 1).count(), Remainder::Json(text))
        }
        Format::Protobuf => (count_delimited(frame, limits.commands)?, Remainder::Protobuf(frame)),
    };
    match count {
        0 => Err(FrameError::Empty),
        n if n > limits.commands => Err(FrameError::TooManyCommands { max: limits.commands }),
        _ => Ok(Commands { rest }),
    }
}

impl Iterator for Commands<'_> {
    type Item = Result<Command, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let command = match &mut self.rest {
            Remainder::Over => return None,
            Remainder::Json(text) => json_command(next_line(text)?),
            Remainder::Protobuf([]) => return None,
            Remainder::Protobuf(bytes) => next_delimited(bytes).and_then(protobuf_command),
        };
        if command.is_err() {
            self.rest = Remainder::Over;
        }
        Some(command)
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || next_line(&mut rest))
}

/// Takes the next line that is not blank.
fn next_line<'a>(text: &mut &'a str) -> Option<&'a str> {
    while !text.is_empty() {
        let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
        *text = rest;
        if line.bytes().any(|b| !b.is_ascii_whitespace()) {
            return Some(line);
        }
    }
    None
}

fn json_command(line: &str) -> Result<Command, FrameError> {
    // The error's text may quote the input: only the place is kept.
    json_in::command(line).map_err(|error| FrameError::Json { column: error.column() })
}

/// Counts length-delimited messages, at most `max + 1` of them.
fn count_delimited(mut frame: &[u8], max: usize) -> Result<usize, FrameError> {
    let mut count = 0;
    while !frame.is_empty() && count <= max {
        next_delimited(&mut frame)?;
        count += 1;
    }
    Ok(count)
}

fn next_delimited<'a>(frame: &mut &'a [u8]) -> Result<&'a [u8], FrameError> {
    let len = decode_varint(frame).map_err(|_| FrameError::Length)?;
    let len = usize::try_from(len).map_err(|_| FrameError::Length)?;
    let (message, rest) = frame.split_at_checked(len).ok_or(FrameError::Length)?;
    *frame = rest;
    Ok(message)
}

fn protobuf_command(message: &[u8]) -> Result<Command, FrameError> {
    if count_subs(message).map_err(|_| FrameError::Protobuf)? > limits::SESSION_SUBSCRIPTIONS {
        return Err(FrameError::TooManySubscriptions { max: limits::SESSION_SUBSCRIPTIONS });
    }
    Command::decode(message).map_err(|_| FrameError::Protobuf)
}

/// Entries of `connect.subs` (field 3 in field 4) in a command, counted before they are decoded: each costs far more
/// memory than its bytes on the wire.
fn count_subs(message: &[u8]) -> Result<usize, prost::DecodeError> {
    fields(message, 4, |connect| fields(connect, 3, |_| Ok(1)))
}

/// The sum of `f` over the fields with this number that hold bytes.
fn fields(
    mut message: &[u8],
    number: u32,
    f: impl Fn(&[u8]) -> Result<usize, prost::DecodeError>,
) -> Result<usize, prost::DecodeError> {
    let mut sum = 0;
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message)?;
        if tag == number && wire_type == WireType::LengthDelimited {
            let len = usize::try_from(decode_varint(&mut message)?).unwrap_or(usize::MAX);
            // Past the end: the real decoder says so.
            let Some((field, rest)) = message.split_at_checked(len) else { return Ok(sum) };
            sum += f(field)?;
            message = rest;
        } else {
            skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
        }
    }
    Ok(sum)
}
