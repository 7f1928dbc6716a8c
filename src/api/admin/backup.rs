//! `POST /admin/backup {"dir": "/where/to"}`: a backup of the running engine into a folder of the server's machine.
//!
//! The admin port asks for no password, and a page in a browser can post to it: so this needs the key that the server
//! left in its data folder. A user of the machine who can read the key can read everything anyway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::{Extension, FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::api::audit::{Audit, AuditLine};
use crate::api::failures::{Credential, Failures};
use crate::api::http::{self, HttpError, Peer};
use crate::api::protocol::shape::read_object;
use crate::config::Secret;
use crate::env::Env;
use crate::storage::retention::Retention;

/// What the route works with. Clones of the `Arc` share it.
pub(crate) struct Backups {
    key: Secret,
    retention: OnceLock<Arc<Retention>>,
    audit: OnceLock<(Arc<Audit>, Arc<Failures>)>,
}

impl Backups {
    /// Not open yet: the engine is starting. `key` is what a request must show.
    #[must_use]
    pub(crate) fn new(key: String) -> Self {
        Self { key: Secret::new(key), retention: OnceLock::new(), audit: OnceLock::new() }
    }

    /// From now on each backup that is asked for is noted here, and each wrong key there.
    pub(crate) fn note_in(&self, audit: Arc<Audit>, failures: Arc<Failures>) {
        // A second one would be that of the same folder.
        let _ = self.audit.set((audit, failures));
    }

    /// Notes what came of a request. That it can't be noted takes nothing back.
    async fn note(&self, from: Option<SocketAddr>, dir: &Path, outcome: &str) {
        let Some((audit, _)) = self.audit.get().cloned() else { return };
        let line = AuditLine {
            at: Env::system().now(),
            who: "key".to_owned(),
            from: from.map(|from| from.to_string()),
            what: "backup".to_owned(),
            target: dir.display().to_string(),
            outcome: outcome.to_owned(),
        };
        let written = tokio::task::spawn_blocking(move || audit.write(&line)).await;
        if let Err(error) = written.map_err(std::io::Error::other).and_then(|written| written) {
            tracing::error!(%error, "the audit log can't be written");
        }
    }

    /// From now on backups are made.
    pub(crate) fn open(&self, retention: Arc<Retention>) {
        // A second one would be that of the same engine.
        let _ = self.retention.set(retention);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    dir: PathBuf,
}

/// The route, to be merged into those of the admin listener.
pub(crate) fn routes(backups: Arc<Backups>) -> Router {
    Router::new().route("/admin/backup", post(backup)).layer(from_fn(http::timely)).with_state(backups)
}

async fn backup(State(backups): State<Arc<Backups>>, peer: Option<Extension<Peer>>, request: Request) -> Response {
    let headers = request.headers();
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !shown.is_some_and(|shown| backups.key.is(shown)) {
        if let (Some(_), Some((_, failures))) = (shown, backups.audit.get()) {
            failures.note(Credential::Admin, peer.map(|peer| peer.address.ip()), "unauthorized");
        }
        let why = "a backup takes the key in the data folder; `kervan backup` has it";
        return HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response();
    }
    // Only now: a request without the key costs no more than its head.
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(refused) => return HttpError::new(refused.status(), "bad_request", refused.body_text()).into_response(),
    };
    let dir = match read_object(&body) {
        Ok(BackupRequest { dir }) => dir,
        Err(error) => {
            let why = format!("the body: {error}");
            return HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why).into_response();
        }
    };
    let Some(retention) = backups.retention.get().cloned() else {
        let why = "the server is starting: try again in a moment";
        return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "starting", why).into_response();
    };
    if !dir.is_absolute() {
        let why = "dir is an absolute path of the server's machine";
        return HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why).into_response();
    }
    // A task of its own: it is finished also if the asker goes away.
    let from = peer.map(|peer| peer.address);
    let task = tokio::spawn(async move {
        let made = retention.backup(&dir).await;
        backups.note(from, &dir, if made.is_ok() { "done" } else { "failed" }).await;
        let made = made?;
        match retention.trim().await {
            Ok(trimmed) => Ok((made, trimmed)),
            Err(error) => {
                tracing::warn!(%error, "the journal could not be trimmed behind the backup");
                Ok((made, 0))
            }
        }
    });
    match task.await {
        Ok(Ok((made, trimmed))) => {
            let bytes: u64 = made.files.iter().map(|file| file.bytes).sum();
            let done = json!({
                "taken_at": made.taken_at,
                "records": made.records,
                "bytes": bytes,
                "trimmed": trimmed,
                "holds_rows": made.holds_rows(),
            });
            Json(done).into_response()
        }
        Ok(Err(error)) => {
            let error: crate::storage::backup::BackupError = error;
            let refused = error.is_refusal();
            tracing::warn!(%error, "a backup was not made");
            let (status, code) = match refused {
                true => (StatusCode::CONFLICT, "refused"),
                false => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            };
            // Paths and reasons are for the operator, who asked.
            HttpError::new(status, code, error.to_string()).into_response()
        }
        Err(panic) => {
            tracing::error!(%panic, "a backup did not finish");
            HttpError::internal().into_response()
        }
    }
}
