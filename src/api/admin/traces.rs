//! `GET /admin/traces`: the way of a few commands, with times; `POST`: follow the next ones of a room.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AdminState;
use super::extract::{OptionalBody, bad, conflict, page_size};
use super::guard::Who;
use crate::actors::trace::CommandTrace;
use crate::actors::wire::Entity;
use crate::api::http::{HttpError, Query};
use crate::ids::{Offset, RoomId, Seq, Timestamp, UserId};

/// Commands that one wish may ask for.
const MOST: u32 = 1_000;

/// A stage, and microseconds since the first.
#[derive(Serialize)]
struct Span {
    name: &'static str,
    us: u64,
}

/// The way of a command.
#[derive(Serialize)]
struct AdminTrace {
    id: Uuid,
    kind: &'static str,
    room: Option<RoomId>,
    user: Option<UserId>,
    partition: u16,
    offset: Option<Offset>,
    seq: Option<Seq>,
    at: Timestamp,
    outcome: Option<&'static str>,
    spans: Vec<Span>,
}

impl AdminTrace {
    fn of(trail: CommandTrace) -> Self {
        let (room, user) = match trail.entity {
            Some(Entity::Room(room)) => (Some(room), None),
            Some(Entity::User(user)) => (None, Some(user)),
            None => (None, None),
        };
        Self {
            id: trail.id,
            kind: trail.kind,
            room,
            user,
            partition: trail.partition.get(),
            offset: trail.offset,
            seq: trail.seq,
            at: trail.at,
            outcome: trail.outcome,
            spans: trail.spans.into_iter().map(|(stage, us)| Span { name: stage.name(), us }).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceFilter {
    room: Option<String>,
    limit: Option<usize>,
}

/// The last ones, and one in how many is followed.
#[derive(Serialize)]
pub(super) struct TraceList {
    every: u32,
    items: Vec<AdminTrace>,
}

fn room_of(text: &str) -> Result<Entity, HttpError> {
    text.parse().map(RoomId).map(Entity::Room).map_err(|_| bad("room: expected a room's id"))
}

/// `GET /admin/traces`: the newest first.
pub(super) async fn list(
    State(admin): AdminState,
    Query(wanted): Query<TraceFilter>,
) -> Result<Json<TraceList>, HttpError> {
    let trails = &admin.live()?.node.context().trails;
    let limit = page_size(wanted.limit)?;
    let room = wanted.room.as_deref().map(room_of).transpose()?;
    let items = trails.latest(room.as_ref(), limit).into_iter().map(AdminTrace::of).collect();
    Ok(Json(TraceList { every: trails.every(), items }))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowRoom {
    #[serde(default)]
    room: String,
    #[serde(default)]
    messages: u32,
}

/// `POST /admin/traces`.
pub(super) async fn follow(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    OptionalBody(wish): OptionalBody<FollowRoom>,
) -> Result<StatusCode, HttpError> {
    let trails = &admin.live()?.node.context().trails;
    let room = room_of(&wish.room)?;
    if !(1..=MOST).contains(&wish.messages) {
        return Err(bad(format!("messages: expected 1 to {MOST}, found {}", wish.messages)));
    }
    if !trails.want(room, wish.messages) {
        return Err(conflict("too_many", "so many rooms are followed already: wait until their messages have come"));
    }
    admin.note(&who, "traces.follow", &wish.room, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
