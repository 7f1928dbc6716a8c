//! What the routes of all listeners take from a request's path and query, each refused by name and in the one shape of
//! errors.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{self, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::HttpError;

/// Parts of the path.
pub(in crate::api) struct Path<T>(pub T);

/// Parameters of the query.
pub(in crate::api) struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let read = extract::Path::from_request_parts(parts, state).await;
        read.map(|extract::Path(path)| Self(path)).map_err(|why: PathRejection| bad_request(why.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let read = extract::Query::from_request_parts(parts, state).await;
        read.map(|extract::Query(query)| Self(query)).map_err(|why: QueryRejection| bad_request(why.body_text()))
    }
}

fn bad_request(why: String) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why)
}
