//! Which web pages may call, as a request's headers say it: one answer for sockets, streams and REST.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::HttpError;
use crate::config::{AllowedOrigin, Config};

/// The rule of [`crate::config::Server::origin_allowed`], over headers.
#[derive(Clone, Debug)]
pub(crate) struct Origins(Arc<Config>);

impl Origins {
    /// As configured.
    #[must_use]
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self(config)
    }

    /// Whether every page may call.
    pub(in crate::api) fn is_every(&self) -> bool {
        self.0.server.allowed_origins.contains(&AllowedOrigin::Every)
    }

    /// Whether a page of this origin may call.
    pub(in crate::api) fn allow(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        self.0.server.origin_allowed(Some(origin.to_str().unwrap_or_default()), host)
    }

    /// Lets a request in that is of no page, or of one that may call.
    ///
    /// # Errors
    /// 403 for another page, or for who names two.
    pub(in crate::api) fn admit(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        let mut named = headers.get_all(header::ORIGIN).iter();
        match (named.next(), named.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if self.allow(origin, headers) => Ok(()),
            _ => {
                let why = "pages of this origin may not connect: server.allowed_origins says which may";
                Err(HttpError::new(StatusCode::FORBIDDEN, "origin_not_allowed", why))
            }
        }
    }
}
