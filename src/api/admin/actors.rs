//! `GET /admin/actors` and `/admin/actors/{path}`: pages of the tree, and one actor.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::{bad, not_found, page_size};
use super::tree::{ActorId, KINDS, Scope, VisitedActor, look, walk};
use super::{Admin, AdminState, Live};
use super::{names, partitions};
use crate::actors::gateway::hub::Wire;
use crate::actors::inspect::{self, Part};
use crate::actors::wire::{self, EntityFigures, FiguresOf, QueryAnswer};
use crate::api::http::{HttpError, Path, Query};
use crate::ids::Partition;

/// An actor as operators see it.
#[derive(Serialize)]
pub(super) struct AdminActor {
    path: String,
    /// What people call it, if it has a name and the page is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    kind: &'static str,
    state: &'static str,
    depth: u32,
    handled: u64,
    /// None of a connection: it is not sampled.
    rate: Option<f64>,
    quiet_ms: u64,
    age_ms: u64,
    restarts: u16,
    children: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<Below>,
    acts: &'static [&'static str],
}

/// What stands below an actor adds up to.
#[derive(Serialize)]
struct Below {
    depth: u64,
    rate: f64,
}

impl AdminActor {
    fn of(seen: &VisitedActor) -> Self {
        let VisitedActor { id, figures, children, below, .. } = seen;
        let per_second = |milli: u64| milli as f64 / 1_000.0;
        Self {
            path: id.to_string(),
            name: None,
            kind: id.kind(),
            state: figures.state.name(),
            depth: figures.depth,
            handled: figures.handled,
            rate: (id.kind() != "session").then(|| per_second(u64::from(figures.rate_milli))),
            quiet_ms: u64::from(figures.quiet_s) * 1_000,
            age_ms: u64::from(figures.age_s) * 1_000,
            restarts: figures.restarts,
            children: *children,
            below: (*children > 0).then(|| Below { depth: below.0, rate: per_second(below.1) }),
            acts: id.acts(),
        }
    }
}

/// What a list is sorted by: paths upwards, numbers downwards.
#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum Sort {
    #[default]
    Path,
    Depth,
    Handled,
    Rate,
    Quiet,
    Age,
    Restarts,
    Children,
}

impl Sort {
    fn key(self, seen: &VisitedActor) -> u64 {
        match self {
            Self::Path => 0,
            Self::Depth => u64::from(seen.figures.depth) + seen.below.0,
            Self::Handled => seen.figures.handled,
            Self::Rate => u64::from(seen.figures.rate_milli) + seen.below.1,
            Self::Quiet => u64::from(seen.figures.quiet_s),
            Self::Age => u64::from(seen.figures.age_s),
            Self::Restarts => u64::from(seen.figures.restarts),
            Self::Children => seen.children as u64,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActorFilter {
    /// Below this one; the node.
    parent: Option<String>,
    /// So many levels; 1, the children. With `text`, `kind` or `state` all of them.
    depth: Option<usize>,
    kind: Option<String>,
    state: Option<String>,
    /// A part of the path.
    text: Option<String>,
    #[serde(default)]
    sort: Sort,
    after: Option<String>,
    limit: Option<usize>,
}

/// A page of actors.
#[derive(Serialize)]
pub(super) struct ActorPage {
    items: Vec<AdminActor>,
    next: Option<String>,
    /// How many fit, on all pages.
    total: usize,
}

/// What the walk kept of the page.
struct Found {
    seen: Vec<VisitedActor>,
    next: Option<String>,
    total: usize,
}

/// A line that is kept: sorted as the page is.
struct Ranked {
    place: (Reverse<u64>, ActorId),
    seen: VisitedActor,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}
impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

/// `GET /admin/actors`.
pub(super) async fn list(
    State(admin): AdminState,
    Query(wanted): Query<ActorFilter>,
) -> Result<Json<ActorPage>, HttpError> {
    let live = admin.live()?;
    let Found { seen, next, total } = find(live, &admin, &wanted)?;
    let are_named = seen.len() <= names::NAMED;
    let mut items = Vec::with_capacity(seen.len());
    for actor in &seen {
        let name = if are_named { names::of_actor(live, &actor.id).await } else { None };
        items.push(AdminActor { name, ..AdminActor::of(actor) });
    }
    Ok(Json(ActorPage { items, next, total }))
}

/// Takes the rates anew. The hub has no mailbox: what it handles is what it hands out.
fn sample(live: &Live, admin: &Admin) {
    let directory = live.node.directory();
    directory.part(Part::Hub).has_done(admin.metrics.deliveries.get(), directory.now());
    directory.sample();
}

/// Walks over the scope and keeps the page only: of 100,000 actors no more than a page is ever held or written.
fn find(live: &Live, admin: &Admin, wanted: &ActorFilter) -> Result<Found, HttpError> {
    let limit = page_size(wanted.limit)?;
    let parent = wanted.parent.as_deref().unwrap_or("node").parse().map_err(|_| not_found("actor"))?;
    let filtered = wanted.kind.is_some() || wanted.state.is_some() || wanted.text.is_some();
    let depth = wanted.depth.unwrap_or(if filtered { usize::MAX } else { 1 });
    check(wanted)?;
    let after = wanted.after.as_deref().map(place).transpose()?;
    sample(live, admin);
    let (mut kept, mut total, mut path) = (BinaryHeap::new(), 0, PathText::default());
    walk(live, &admin.env, Scope { parent: &parent, depth }, &mut |seen| {
        if !fits(wanted, &seen, &mut path) {
            return;
        }
        total += 1;
        let key = Reverse(wanted.sort.key(&seen));
        // Most lines of a long list are behind the page: they cost a comparison, and nothing is copied for them.
        let behind = |last: &Ranked| (key, &seen.id) >= (last.place.0, &last.place.1);
        if kept.len() > limit && kept.peek().is_some_and(behind) {
            return;
        }
        let place = (key, seen.id.clone());
        if after.as_ref().is_none_or(|after| place > *after) {
            kept.push(Ranked { place, seen });
            if kept.len() > limit + 1 {
                kept.pop();
            }
        }
    });
    let mut lines = kept.into_sorted_vec();
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|line| format!("{}~{}", line.place.0.0, line.place.1));
    Ok(Found { seen: lines.into_iter().map(|line| line.seen).collect(), next, total })
}

fn check(wanted: &ActorFilter) -> Result<(), HttpError> {
    if let Some(kind) = wanted.kind.as_deref().filter(|kind| !KINDS.contains(kind)) {
        return Err(bad(format!("kind: expected one of {}, found {kind:?}", KINDS.join(", "))));
    }
    let states = inspect::State::ALL.map(inspect::State::name);
    if let Some(state) = wanted.state.as_deref().filter(|state| !states.contains(state)) {
        return Err(bad(format!("state: expected one of {}, found {state:?}", states.join(", "))));
    }
    Ok(())
}

fn fits(wanted: &ActorFilter, seen: &VisitedActor, path: &mut PathText) -> bool {
    if wanted.kind.as_deref().is_some_and(|kind| seen.id.kind() != kind)
        || wanted.state.as_deref().is_some_and(|state| seen.figures.state.name() != state)
    {
        return false;
    }
    let Some(text) = &wanted.text else { return true };
    path.of(seen).contains(text.as_str())
}

/// The text of a path. Those of a partition's residents differ at their ends only, and to find a room's partition anew for each
/// is what would take the longest.
#[derive(Default)]
struct PathText {
    text: String,
    home: Option<Partition>,
    begins: usize,
}

impl PathText {
    fn of(&mut self, seen: &VisitedActor) -> &str {
        // Writing to a string does not fail.
        let Some(home) = seen.home else {
            (self.home, self.text) = (None, seen.id.to_string());
            return &self.text;
        };
        if self.home != Some(home) {
            self.text.clear();
            let _ = write!(self.text, "{}/", ActorId::Partition(home));
            (self.home, self.begins) = (Some(home), self.text.len());
        }
        self.text.truncate(self.begins);
        match &seen.id {
            ActorId::Room(room) => {
                self.text.push_str("room:");
                self.text.push_str(room.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            }
            ActorId::User(user) => {
                self.text.push_str("user:");
                self.text.push_str(user.as_str());
            }
            other => (self.home, self.text) = (None, other.to_string()),
        }
        &self.text
    }
}

/// The place of the last line of the page before.
fn place(after: &str) -> Result<(Reverse<u64>, ActorId), HttpError> {
    let read = after.split_once('~').and_then(|(key, path)| Some((Reverse(key.parse().ok()?), path.parse().ok()?)));
    read.ok_or_else(|| bad("after: expected what `next` of the page before says"))
}

/// `GET /admin/actors/{path}`.
pub(super) async fn detail(State(admin): AdminState, Path(path): Path<String>) -> Result<Json<Value>, HttpError> {
    let live = admin.live()?;
    let id: ActorId = path.parse().map_err(|_| not_found("actor"))?;
    sample(live, &admin);
    let seen = look(live, &admin.env, &id).ok_or_else(|| not_found("actor"))?;
    let summary = summary(&admin, live, &id).await;
    let actor = AdminActor { name: names::of_actor(live, &id).await, ..AdminActor::of(&seen) };
    Ok(Json(json!({ "actor": actor, "summary": summary })))
}

/// What an actor holds, in a few words; null if it can't say now.
async fn summary(admin: &Admin, live: &Live, id: &ActorId) -> Value {
    match id {
        ActorId::Room(_) | ActorId::User(_) => match id.entity() {
            Some(entity) => match live.node.router().query(entity, wire::Query::Figures).await {
                QueryAnswer::Figures(figures) => of_figures(&figures),
                _ => Value::Null,
            },
            None => Value::Null,
        },
        ActorId::Partition(partition) => json!(partitions::row(live, *partition)),
        ActorId::Hub => json!({
            "feeds": live.hub.feeds(),
            "sessions": live.hub.sessions().count(),
            "deliveries": admin.metrics.deliveries.get(),
            "outbox_dropped": admin.metrics.outbox_dropped.get(),
            "slow_readers_closed": admin.metrics.slow_readers_closed.get(),
        }),
        ActorId::Session(client) => match live.hub.sessions().find(*client) {
            Some(connection) => json!({
                "user": connection.user,
                "format": match connection.wire { Wire::Json => "json", Wire::Protobuf => "protobuf" },
                "since": connection.since,
                "outbox_items": connection.outbox.waits().0,
                "outbox_bytes": connection.outbox.waits().1,
            }),
            None => Value::Null,
        },
        ActorId::Workers | ActorId::Worker(_) => json!({
            "lag_records": admin.metrics.projector_lag_records.get(),
            "watermark_age_seconds": admin.metrics.watermark_age_seconds.get(),
        }),
        ActorId::Node | ActorId::Partitions | ActorId::Sessions => Value::Null,
    }
}

fn of_figures(figures: &EntityFigures) -> Value {
    let EntityFigures { head, ring_bytes, of } = figures;
    match of {
        FiguresOf::Room { kind, status, members, invited, floor, messages, generation } => json!({
            "exists": kind.is_some(),
            "status": format!("{status:?}").to_lowercase(),
            "kind": kind.map(|kind| format!("{kind:?}").to_lowercase()),
            "members": members,
            "invited": invited,
            "head": head,
            "floor": floor,
            "messages": messages,
            "generation": generation,
            "ring_bytes": ring_bytes,
        }),
        FiguresOf::User { rooms, devices, blocks } => json!({
            "head": head,
            "rooms": rooms,
            "devices": devices,
            "blocks": blocks,
            "ring_bytes": ring_bytes,
        }),
    }
}
