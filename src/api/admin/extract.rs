//! What requests bring, and pages: parameters that are checked, limits that are bounded, one shape of an error.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::http::HttpError;
use crate::api::protocol::shape::read_object;
use crate::storage::store::StoreError;

/// Lines of a page without `limit`.
const PAGE: usize = 100;
/// Lines of a page at most.
const LONGEST: usize = 1_000;
/// Bytes of a request's body.
const BODY: usize = 16 * 1024;

/// A JSON body; none at all is `T`'s default.
pub(super) struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        let bytes = axum::body::to_bytes(request.into_body(), BODY).await;
        let bytes = bytes.map_err(|_| bad("the body is longer than 16 KiB, or was cut off"))?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        read_object(&bytes).map(Self).map_err(|error| bad(format!("the body: {error}")))
    }
}

/// A page of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    /// Its lines.
    pub items: Vec<T>,
    /// What `after` is to say for the next page; none after the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Of up to `limit + 1` items: one more than the page shows that there is another one.
    pub(crate) fn new(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// Lines of a page, as asked for.
pub(super) fn page_size(asked: Option<usize>) -> Result<usize, HttpError> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=LONGEST => Ok(limit),
        other => Err(bad(format!("limit: expected 1 to {LONGEST}, found {other}"))),
    }
}

/// The request can't work as it stands.
pub(super) fn bad(why: impl Into<String>) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why)
}

/// There is no such thing.
pub(super) fn not_found(what: &str) -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
}

/// It is there, and what was asked does not go with it now.
pub(super) fn conflict(code: &'static str, why: impl Into<String>) -> HttpError {
    HttpError::new(StatusCode::CONFLICT, code, why)
}

/// The store did not do it.
pub(super) fn stored(error: StoreError) -> HttpError {
    tracing::warn!(%error, "the store, asked by an operator");
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", error.to_string())
}
