//! Checks of JSON text that came from outside, without recursion and without allocation.

use serde_json::value::RawValue;

/// Why bytes are no payload.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PayloadError {
    /// Nested too deeply.
    #[error("JSON is nested deeper than {max}")]
    TooDeep {
        /// The bound.
        max: usize,
    },
    /// Not UTF-8, or no JSON.
    #[error("payload is not JSON")]
    NotJson,
}

/// Whether `text` never nests arrays and objects deeper than `max`. Text that is no JSON is judged by its brackets.
#[must_use]
pub(crate) fn depth_within(text: &[u8], max: usize) -> bool {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for &byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Checks that a payload is one JSON text of bounded depth. A JSON frame has been checked as a whole; a protobuf frame
/// carries payloads as bytes, and a subscriber that speaks JSON would choke on others.
///
/// # Errors
/// Too deep, or no JSON (empty bytes are none).
pub(crate) fn check_json(payload: &[u8], max_depth: usize) -> Result<(), PayloadError> {
    if !depth_within(payload, max_depth) {
        return Err(PayloadError::TooDeep { max: max_depth });
    }
    serde_json::from_slice::<&RawValue>(payload).map(|_| ()).map_err(|_| PayloadError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        assert!(depth_within(br#"{"a":"[[[[{{{\"[[[["}"#, 1));
        assert!(depth_within(b"[[],[],[[]]]", 3));
        assert!(!depth_within(b"[[],[],[[]]]", 2));
    }

    #[test]
    fn a_million_brackets_are_refused_without_a_stack() {
        let deep = vec![b'['; 1_000_000];
        assert_eq!(check_json(&deep, 32), Err(PayloadError::TooDeep { max: 32 }));
    }

    #[test]
    fn a_payload_is_exactly_one_json_text() {
        for good in ["null", "\"x\"", "{\"a\": [1, 2]}", " 1 "] {
            assert_eq!(check_json(good.as_bytes(), 32), Ok(()), "{good}");
        }
        for bad in [&b""[..], b"{", b"{}{}", b"nul", b"\"\xff\"", b"\x0a\x03abc"] {
            assert_eq!(check_json(bad, 32), Err(PayloadError::NotJson), "{bad:?}");
        }
    }
}
