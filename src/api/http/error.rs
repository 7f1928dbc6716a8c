//! The one shape of an error over HTTP: `{"error":{"code":"not_found","message":"…","retry_after_ms":…}}`. The last is there
//! if the same request has a chance after that time, and then there is a `Retry-After` header, in seconds, too.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What a 401 asks for unless it says otherwise.
const BEARER: &str = "Bearer realm=\"kervan\"";

/// An error answer.
#[derive(Clone, Debug)]
pub struct HttpError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_ms: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl HttpError {
    /// `code` is for programs and stays as it is; `message` is for people and tells nothing about other users.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_ms: None, headers: Vec::new() }
    }

    /// The same, and when it may be tried again.
    #[must_use]
    pub(crate) fn retry_after(self, ms: u64) -> Self {
        Self { retry_after_ms: Some(ms), ..self }
    }

    /// The same, with a header that its status asks for.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Something of ours is wrong; the log says what.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error")
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        let seconds = self.retry_after_ms.map(|ms| {
            error["retry_after_ms"] = ms.into();
            ms.div_ceil(1000)
        });
        let mut response = (self.status, axum::Json(json!({ "error": error }))).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers);
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2: with what one may come back.
            headers.entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static(BEARER));
        }
        response
    }
}
