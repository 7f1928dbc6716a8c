//! After a run: reads everything back, over the protocol and from the database.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{CallError, Link};
use crate::history::{Body, Entry, Event, Recorder};
use crate::rooms::Room;
use crate::server;
use crate::sql::Database;
use crate::wire;

/// How long the database may be behind the stream.
const ROWS_PATIENCE: Duration = Duration::from_secs(30);

/// Reads the whole stream of each room by protocol history, and its messages by `message.history`. Gives the heads.
pub(crate) async fn streams(url: &str, rooms: &[Room], recorder: &Recorder) -> Result<Vec<u64>, CallError> {
    let mut heads = Vec::new();
    for room in rooms {
        let link = Link::plain(url, &server::token(&room.creator)).await?;
        link.read("subscribe", json!({ "channel": room.channel, "recoverable": true })).await?;
        let (epoch, events) = stream(&link, &room.channel).await?;
        heads.push(events.last().map_or(0, |event| event.seq));
        recorder.record(Entry::Final { room: room.channel.clone(), epoch, events });
        if let Some(id) = &room.room {
            let messages = messages(&link, id).await?;
            recorder.record(Entry::Present { room: room.channel.clone(), messages });
        }
        link.goodbye().await;
    }
    Ok(heads)
}

/// Reads each user's personal stream, when it has as many events as the rooms' streams promise or time is over, and what
/// `room.list` says. Gives the personal channels with their heads.
pub(crate) async fn users(url: &str, rooms: &[Room], recorder: &Recorder) -> Result<Vec<(String, u64)>, CallError> {
    let mut heads = Vec::new();
    let mut users: Vec<&String> = rooms.iter().flat_map(|room| &room.members).collect();
    users.sort_unstable();
    users.dedup();
    let promised = promised(recorder);
    // Pauses: the bound of the wait below.
    let end = Instant::now() + ROWS_PATIENCE;
    for user in users {
        let link = Link::plain(url, &server::token(user)).await?;
        let channel = format!("#{user}");
        let (epoch, events) = loop {
            let (epoch, events) = stream(&link, &channel).await?;
            if events.len() >= promised.get(user).copied().unwrap_or(0) || Instant::now() > end {
                break (epoch, events);
            }
            // Pauses: between looks, within a bound.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        heads.push((channel.clone(), events.last().map_or(0, |event| event.seq)));
        recorder.record(Entry::Final { room: channel, epoch, events });
        let list = link.read_rpc("room.list", json!({ "limit": 100 })).await?;
        for room in list["rooms"].as_array().into_iter().flatten() {
            if room["state"] != "member" {
                continue; // An invitation.
            }
            let (Some(id), Some(unread)) = (room["room"].as_str(), room["unread"].as_u64()) else { continue };
            recorder.record(Entry::Unread { room: format!("room:{id}"), user: user.clone(), unread });
        }
        link.goodbye().await;
    }
    Ok(heads)
}

/// How many changes of membership each user must be told, from the final streams.
fn promised(recorder: &Recorder) -> HashMap<String, usize> {
    let mut promised: HashMap<String, usize> = HashMap::new();
    for entry in recorder.entries() {
        let Entry::Final { events, .. } = entry else { continue };
        for event in events {
            let whom = match event.body {
                Body::Created { members } => members,
                Body::Joined | Body::Left => event.actor.into_iter().collect(),
                Body::Invited { user } | Body::Kicked { user } => vec![user],
                _ => continue,
            };
            whom.into_iter().for_each(|user| *promised.entry(user).or_default() += 1);
        }
    }
    promised
}

/// A channel's whole history, page by page from the beginning.
pub(crate) async fn stream(link: &Link, channel: &str) -> Result<(String, Vec<Event>), CallError> {
    let read = if channel.starts_with('#') { wire::personal } else { wire::publication };
    let first = link.read("history", json!({ "channel": channel, "limit": 0 })).await?;
    let epoch = first.get("epoch").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut events: Vec<Event> = Vec::new();
    loop {
        let offset = events.last().map_or(0, |event| event.seq);
        let since = json!({ "offset": offset, "epoch": epoch });
        let page = link.read("history", json!({ "channel": channel, "limit": 200, "since": since })).await?;
        let publications = page.get("publications").and_then(Value::as_array).cloned().unwrap_or_default();
        if publications.is_empty() {
            return Ok((epoch, events));
        }
        for publication in &publications {
            events.extend(read(publication));
        }
        let grown = events.last().map_or(0, |event| event.seq);
        assert!(grown > offset, "a history page after {offset} ends at {grown}");
    }
}

/// All messages of a room in their present form, page by page from the newest.
pub(crate) async fn messages(link: &Link, room: &str) -> Result<Vec<Event>, CallError> {
    let mut messages: Vec<Event> = Vec::new();
    loop {
        let before = messages.iter().map(|message| message.seq).min();
        let mut request = json!({ "room": room, "limit": 100 });
        if let Some(before) = before {
            request["before"] = before.into();
        }
        let page = link.read_rpc("message.history", request).await?;
        let items: Vec<Event> = page["messages"].as_array().into_iter().flatten().map(wire::message).collect();
        if items.is_empty() {
            return Ok(messages);
        }
        assert!(items.iter().all(|item| before.is_none_or(|before| item.seq < before)), "a page goes in circles");
        messages.extend(items);
    }
}

/// Waits until the database has every room's head, for as long as it may be behind.
pub(crate) async fn wait_for_rows(database: &Database<'_>, rooms: &[Room], heads: &[u64]) -> anyhow::Result<()> {
    // Pauses: the bound of the wait below.
    let end = Instant::now() + ROWS_PATIENCE;
    for (room, head) in rooms.iter().zip(heads) {
        while Instant::now() < end {
            match uuid(database, room).await? {
                Some(id) if database.head(id).await? >= *head => break,
                // Pauses: between looks, within a bound.
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    Ok(())
}

/// Takes down the rows of each room.
pub(crate) async fn rows(database: &Database<'_>, rooms: &[Room], recorder: &Recorder) -> anyhow::Result<()> {
    for room in rooms {
        let rows = match uuid(database, room).await? {
            Some(id) => database.rows(id).await?,
            None => crate::history::Rows::default(),
        };
        recorder.record(Entry::Rows { room: room.channel.clone(), rows });
    }
    Ok(())
}

async fn uuid(database: &Database<'_>, room: &Room) -> anyhow::Result<Option<Uuid>> {
    match &room.room {
        Some(id) => Ok(Some(Uuid::parse_str(id).unwrap())),
        None => database.open_channel(&room.channel).await,
    }
}
