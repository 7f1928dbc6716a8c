//! What a request brings: who asks, and what, each refused in the one shape of errors.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, StatusCode, Uri, header};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{ApiError, Rest};
use crate::api::auth::{TokenError, VerifiedToken};
use crate::api::failures::Credential;
use crate::api::http::{self, HttpError, Query};
use crate::api::operations::Caller;
use crate::api::operations::request;
use crate::ids::UserId;

/// The user whom the bearer token names.
pub(crate) struct CurrentUser(pub Caller);

/// The same, with the sign-in that the token belongs to, if it is one of Kervan's own.
pub(crate) struct SignedIn {
    /// Who.
    pub user: UserId,
    /// The sign-in.
    pub sign_in: Option<Uuid>,
}

/// A JSON body.
pub struct Body<T>(pub T);

/// The token of `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn token_refused(error: TokenError, rest: &Rest) -> HttpError {
    // Which key is missing or which claim is wrong is for the log, where the verifier has written it.
    match error {
        TokenError::Missing => HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", "this takes a bearer token"),
        TokenError::Expired => HttpError::new(StatusCode::UNAUTHORIZED, "token_expired", "the token has expired"),
        TokenError::NotYetValid => {
            HttpError::new(StatusCode::UNAUTHORIZED, "token_expired", "the token is not valid yet: get a new one")
        }
        TokenError::KeysUnavailable => {
            HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "keys can't be fetched now")
                .retry_after(1000)
        }
        error if rest.verifier.explains() => {
            let why = format!("the token is not good: {error}; {}", error.hint());
            HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", why)
        }
        _ => HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", "the token is not good"),
    }
}

impl FromRequestParts<Rest> for CurrentUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, ApiError> {
        let SignedIn { user, .. } = SignedIn::from_request_parts(parts, rest).await?;
        Ok(Self(Caller::new(user)))
    }
}

impl FromRequestParts<Rest> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).unwrap_or_default();
        if token.is_empty() {
            return Err(token_refused(TokenError::Missing, rest).into());
        }
        let verified = match rest.verifier.connection(token).await {
            // The socket says so, too: `expire_at` ends what the token grants, whatever its `exp` is.
            Ok(VerifiedToken { expires_at: Some(at), .. }) if at <= rest.sessions.clock().now() => {
                Err(TokenError::Expired)
            }
            verified => verified,
        };
        let verified = verified.map_err(|error| {
            if error.is_failure() {
                rest.failed(Credential::Token, address(&parts.headers, &parts.extensions, rest), &error.to_string());
            }
            token_refused(error, rest)
        })?;
        match verified.user {
            Some(user) => Ok(Self { user, sign_in: verified.sign_in }),
            None => Err(crate::api::operations::Error::Anonymous.into()),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Rest> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let bytes = Bytes::from_request(request, rest).await.map_err(body_refused)?;
        if !is_json && !bytes.is_empty() {
            let why = "the body is JSON: say content-type: application/json";
            return Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", why).into());
        }
        Ok(Self(request::parse(&bytes)?))
    }
}

pub(super) fn body_refused(rejection: BytesRejection) -> HttpError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large")
        }
        _ => HttpError::new(StatusCode::BAD_REQUEST, "bad_request", "the body did not arrive whole"),
    }
}

/// What the query asks for, and the ids in it.
///
/// `ids` once is a list with commas. Given more than once, each is one id, commas and all, and an empty one is none: ids may
/// have commas in them.
pub(super) struct WithIds<T>(pub Option<Vec<String>>, pub T);

impl<T: DeserializeOwned> FromRequestParts<Rest> for WithIds<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, rest).await?;
        let mut given: Vec<String> = pairs.into_iter().filter(|(name, _)| name == "ids").map(|(_, ids)| ids).collect();
        let is_given = !given.is_empty();
        if let [list] = &given[..] {
            given = list.split(',').map(ToOwned::to_owned).collect();
        }
        given.retain(|id| !id.is_empty());
        let query = parts.uri.query().unwrap_or_default().split('&');
        let others: Vec<&str> = query.filter(|pair| pair.split('=').next() != Some("ids")).collect();
        let refused = |why: String| HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why);
        let others: Uri = format!("/?{}", others.join("&")).parse().map_err(|_| refused("the query".to_owned()))?;
        let extract::Query(asked) = extract::Query::try_from_uri(&others).map_err(|why| refused(why.body_text()))?;
        Ok(Self(is_given.then_some(given), asked))
    }
}

/// Where a request comes from: the connection's other end, or whom a trusted proxy names.
pub(crate) struct From(pub IpAddr);

impl FromRequestParts<Rest> for From {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, ApiError> {
        address(&parts.headers, &parts.extensions, rest).map(Self).ok_or_else(|| {
            tracing::error!("a request without its peer");
            HttpError::internal().into()
        })
    }
}

/// Whom a request comes from.
pub(super) fn address(headers: &HeaderMap, extensions: &Extensions, rest: &Rest) -> Option<IpAddr> {
    let peer = extensions.get::<http::Peer>()?;
    Some(http::client_address(peer.address.ip(), headers, &rest.config.server.trusted_proxies))
}
