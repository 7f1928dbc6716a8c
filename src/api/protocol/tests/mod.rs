//! Tests of the codec as a whole: hostile frames, bytes of the official SDKs, round trips.

mod frames;
mod property;
mod sdk;
mod sdk_frames;

use super::{Command, Format, FrameError, FrameLimits, decode_frame};

/// Decodes a whole frame under the default bounds.
fn commands(frame: &[u8], format: Format) -> Result<Vec<Command>, FrameError> {
    decode_frame(frame, format, &FrameLimits::default())?.collect()
}

/// Bytes from hexadecimal digits.
fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}
