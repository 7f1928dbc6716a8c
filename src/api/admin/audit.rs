//! `GET /admin/audit`, and how the operator's routes note what they changed.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::extract::{Page, bad, page_size};
use super::guard::Who;
use super::{Admin, AdminState};
use crate::api::audit::AuditLine;
use crate::api::http::{HttpError, Query};

impl Admin {
    /// Notes what came of a change. What can't be noted is told to the asker: it has happened all the same.
    pub(super) async fn note(
        &self,
        who: &Who,
        what: &str,
        target: &str,
        error: Option<&HttpError>,
    ) -> Result<(), HttpError> {
        let line = AuditLine {
            at: self.env.now(),
            who: who.text(),
            from: who.from.map(|from| from.to_string()),
            what: what.to_owned(),
            target: target.to_owned(),
            outcome: error.map_or("done", HttpError::code).to_owned(),
        };
        tracing::info!(who = line.who, what, target, outcome = line.outcome, "an operator's act");
        let audit = Arc::clone(&self.audit);
        let written = tokio::task::spawn_blocking(move || audit.write(&line)).await;
        written.map_err(io::Error::other).and_then(|written| written).map_err(|error| {
            tracing::error!(%error, "the audit log can't be written");
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            HttpError::new(status, "audit_failed", "the audit log can't be written; what was asked may be done")
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditFilter {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /admin/audit`: the newest first.
pub(super) async fn list(
    State(admin): AdminState,
    Query(wanted): Query<AuditFilter>,
) -> Result<Json<Page<AuditLine>>, HttpError> {
    let limit = page_size(wanted.limit)?;
    let skip = match &wanted.after {
        Some(after) => after.parse().map_err(|_| bad("after: expected what `next` of the page before says"))?,
        None => 0,
    };
    let audit = Arc::clone(&admin.audit);
    let read = tokio::task::spawn_blocking(move || audit.read(skip, limit + 1)).await;
    let lines = read.map_err(io::Error::other).and_then(|read| read).map_err(|error| {
        tracing::error!(%error, "the audit log can't be read");
        HttpError::internal()
    })?;
    Ok(Json(Page::new(lines, limit, |_| (skip + limit).to_string())))
}
