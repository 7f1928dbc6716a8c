//! What a provider's HTTP answer says, as far as all providers agree.

use std::time::Duration;

use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::SendError;
use crate::limits;

/// An answer that was read.
pub(super) struct Answered {
    pub status: StatusCode,
    /// When to ask again, as it says.
    pub after: Option<Duration>,
    /// What it says, as far as that is read.
    pub body: Vec<u8>,
}

impl Answered {
    /// Reads an answer: to the end, so that the connection serves the next one; a long one costs the connection.
    pub(super) async fn read(mut response: Response) -> Self {
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(retry_after);
        let mut body = Vec::new();
        while let Ok(Some(piece)) = response.chunk().await {
            let left = limits::NOTIFY_ANSWER_BYTES - body.len();
            body.extend_from_slice(&piece[..piece.len().min(left)]);
            if body.len() == limits::NOTIFY_ANSWER_BYTES {
                break;
            }
        }
        Self { status, after, body }
    }

    /// Trying again may help.
    pub(super) fn later(&self, why: String) -> SendError {
        SendError::Later { why, after: self.after }
    }
}

/// Seconds; a date is not looked at: it would be judged by another clock.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
