//! The rooms of a run and who sits where.

use serde_json::json;

use crate::client::{CallError, Link};
use crate::member::{Plan, SeatPlan};
use crate::rng::Rng;
use crate::server;

/// A room of the run.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub channel: String,
    /// Its uuid; `None` for an open channel, whose uuid only the database tells.
    pub room: Option<String>,
    pub kind: &'static str,
    pub creator: String,
    pub members: Vec<String>,
}

/// How large the world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub clients: usize,
    pub groups: usize,
    pub pace_ms: (u64, u64),
}

impl Size {
    /// The full run: 100 clients in 12 rooms.
    pub(crate) const FULL: Self = Self { clients: 100, groups: 7, pace_ms: (60, 400) };
    /// A quick one.
    pub(crate) const SMALL: Self = Self { clients: 16, groups: 2, pace_ms: (10, 60) };
}

/// One who sends as fast as it can, and one who listens, in a direct chat.
pub(crate) async fn pair(url: &str) -> Result<(Vec<Room>, Vec<Plan>), CallError> {
    let rooms = vec![create(url, "direct", "sender", &["receiver".to_owned()], "").await?];
    let mut plans = vec![plan(url, "sender", 0, &rooms, (1, 3)), plan(url, "receiver", 1, &rooms, (20, 40))];
    plans[1].seats[0].sends = false;
    plans.iter_mut().for_each(|plan| plan.restless = false);
    Ok((rooms, plans))
}

/// Makes the rooms over the protocol: three direct chats, public groups, a broadcast, and an open channel. Names of users
/// and of the channel begin with `world`, so that a server may have several, one after the other.
pub(crate) async fn make(
    url: &str,
    world: &str,
    size: Size,
    rng: &mut Rng,
) -> Result<(Vec<Room>, Vec<Plan>), CallError> {
    // A fifth of the clients are second devices.
    let users: Vec<String> = (0..size.clients.div_ceil(5) * 4).map(|n| format!("{world}user-{n}")).collect();
    let mut rooms = Vec::new();
    for pair in users.chunks(2).take(3) {
        rooms.push(create(url, "direct", &pair[0], &pair[1..], "").await?);
    }
    for n in 0..size.groups {
        let share = rng.range(10, 35);
        let members: Vec<String> = users.iter().filter(|_| rng.chance(share)).cloned().collect();
        rooms.push(create(url, "group", &users[n], &members, &format!("group {n}")).await?);
    }
    let half: Vec<String> = users.iter().step_by(2).cloned().collect();
    rooms.push(create(url, "broadcast", &users[1], &half, "news").await?);
    // The open channel takes in whoever sits nowhere else.
    let sits = |user: &String| rooms.iter().any(|room: &Room| room.members.contains(user));
    let strollers = users.iter().enumerate().filter(|(n, user)| n % 3 == 0 || !sits(user));
    let members = strollers.map(|(_, user)| user.clone()).collect();
    rooms.push(Room { channel: format!("{world}lobby"), room: None, kind: "open", creator: users[0].clone(), members });
    let plans = (0..size.clients).map(|n| plan(url, &users[n % users.len()], n, &rooms, size.pace_ms)).collect();
    Ok((rooms, plans))
}

/// Makes one room.
pub(crate) async fn create(
    url: &str,
    kind: &'static str,
    creator: &str,
    others: &[String],
    title: &str,
) -> Result<Room, CallError> {
    let link = Link::plain(url, &server::token(creator)).await?;
    let request = match kind {
        "direct" => json!({ "kind": kind, "user": others[0] }),
        _ => json!({ "kind": kind, "members": others, "title": title, "client_id": title, "public": true }),
    };
    let made = link.rpc("room.create", request).await?;
    let id = made["room"].as_str().expect("the answer names the room").to_owned();
    let mut members: Vec<String> = others.iter().cloned().chain([creator.to_owned()]).collect();
    members.sort();
    members.dedup();
    let room = Room { channel: format!("room:{id}"), room: Some(id), kind, creator: creator.to_owned(), members };
    link.goodbye().await;
    Ok(room)
}

fn plan(url: &str, user: &str, number: usize, rooms: &[Room], pace_ms: (u64, u64)) -> Plan {
    let seats = rooms.iter().filter(|room| room.members.iter().any(|member| member == user)).map(|room| {
        let is_creator = room.creator == user;
        let others = room.members.iter().filter(|member| *member != user).cloned();
        SeatPlan {
            channel: room.channel.clone(),
            room: room.room.clone(),
            sends: room.kind != "broadcast" || is_creator,
            leaves: matches!(room.kind, "group" | "broadcast") && !is_creator,
            kicks: if room.kind == "group" && is_creator { others.collect() } else { Vec::new() },
            chained: number.is_multiple_of(2),
        }
    });
    Plan {
        url: url.to_owned(),
        user: user.to_owned(),
        device: format!("d{number}"),
        seats: seats.collect(),
        pace_ms,
        restless: true,
    }
}
