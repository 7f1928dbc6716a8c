//! `/admin/notifications/dead`: what no provider took, and having it tried again; and `/admin/notifications/end`, once nobody notifies
//! any more. What a message says is in none of it.

use axum::Json;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AdminState;
use super::extract::{OptionalBody, Page, bad, conflict, page_size, stored};
use super::guard::Who;
use crate::api::http::{HttpError, Query};
use crate::ids::{RoomId, Seq, Timestamp, UserId};
use crate::storage::notifications::outbox::{DeadNotification, Ended};

/// Ids of one request.
const MOST: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadFilter {
    after: Option<String>,
    limit: Option<usize>,
}

/// One that nobody tries any more.
#[derive(Serialize)]
pub(super) struct DeadView {
    id: Uuid,
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    device: String,
    user: UserId,
    room: RoomId,
    seq: Seq,
    #[serde(rename = "type")]
    kind: String,
    /// When the message was sent.
    created_at: Timestamp,
    attempts: u32,
    dead_at: Timestamp,
    reason: String,
}

impl From<DeadNotification> for DeadView {
    fn from(dead: DeadNotification) -> Self {
        let DeadNotification { of, at, why } = dead;
        Self {
            id: of.id,
            channel: of.channel,
            device: of.device,
            user: of.user,
            room: of.room,
            seq: of.seq,
            kind: of.kind,
            created_at: of.at,
            attempts: of.attempts,
            dead_at: at,
            reason: why,
        }
    }
}

/// `GET /admin/notifications/dead`: the oldest first.
pub(super) async fn dead(
    State(admin): AdminState,
    Query(wanted): Query<DeadFilter>,
) -> Result<Json<Page<DeadView>>, HttpError> {
    let limit = page_size(wanted.limit)?;
    let after = wanted.after.as_deref().map(cursor).transpose()?;
    let found = admin.live()?.outbox.dead(after, limit + 1).await.map_err(stored)?;
    let lines = found.into_iter().map(DeadView::from).collect();
    Ok(Json(Page::new(lines, limit, |last| format!("{}.{}", last.dead_at.0, last.id))))
}

fn cursor(text: &str) -> Result<(Timestamp, Uuid), HttpError> {
    let parts = text.split_once('.').and_then(|(at, id)| Some((Timestamp(at.parse().ok()?), id.parse().ok()?)));
    parts.ok_or_else(|| bad("after: expected what `next` of the page before says"))
}

/// Which are tried again: `ids`, or all.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReplayedOnes {
    ids: Vec<Uuid>,
    all: bool,
}

/// What came of it.
#[derive(Serialize)]
pub(super) struct Replayed {
    /// How many are tried again.
    replayed: u64,
}

/// `POST /admin/notifications/dead/replay`.
pub(super) async fn replay(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    OptionalBody(wanted): OptionalBody<ReplayedOnes>,
) -> Result<Json<Replayed>, HttpError> {
    let ids = match (wanted.all, wanted.ids.is_empty()) {
        (true, true) => None,
        (false, false) if wanted.ids.len() <= MOST => Some(&wanted.ids[..]),
        (false, false) => return Err(bad(format!("ids: at most {MOST} at a time"))),
        (true, false) => return Err(bad("ids or all, not both")),
        (false, true) => return Err(bad("say which: ids, or all")),
    };
    let target = ids.map_or_else(|| "all".to_owned(), |ids| format!("{} of them", ids.len()));
    let done = admin.live()?.outbox.replay(ids, admin.env.now()).await.map_err(stored);
    admin.note(&who, "notification.replay", &target, done.as_ref().err()).await?;
    Ok(Json(Replayed { replayed: done? }))
}

/// What was let go of.
#[derive(Serialize)]
pub(super) struct EndedView {
    /// Partitions whose journal nobody notifies of any more.
    partitions: u64,
    /// Notifications that no provider had taken.
    waiting: u64,
}

/// `POST /admin/notifications/end`: refused by a node that notifies itself, because its worker would stand still.
pub(super) async fn end(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
) -> Result<Json<EndedView>, HttpError> {
    let live = admin.live()?;
    if live.notifies {
        let why = "this server notifies: take the ways out from [notifications] and start it again first";
        return Err(conflict("not_possible", why));
    }
    let done = live.outbox.end().await.map_err(stored);
    admin.note(&who, "notification.end", "all", done.as_ref().err()).await?;
    let Ended { partitions, waiting } = done?;
    Ok(Json(EndedView { partitions, waiting }))
}
