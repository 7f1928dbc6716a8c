//! What the JSON of a room says, as `docs/protocol.md` fixes it, turned into what the history holds.

use serde_json::Value;

use crate::history::{Body, Event};

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// A publication of a room or an open channel. `None` for those without an offset (typing, receipts).
pub(crate) fn publication(publication: &Value) -> Option<Event> {
    let offset = number(publication, "offset");
    if offset == 0 {
        return None;
    }
    let data = &publication["data"];
    let Some(kind) = data.get("type").and_then(Value::as_str) else {
        // An open channel carries the data as it was published.
        return Some(Event {
            seq: offset,
            id: String::new(),
            actor: publication.get("info").and_then(|info| text(info, "user")),
            at: 0,
            body: Body::Message {
                no: 0,
                client_id: text(data, "client_id"),
                text: text(data, "text").unwrap_or_default(),
            },
        });
    };
    assert_eq!(number(data, "seq"), offset, "offset and seq differ: {publication}");
    let user = || text(data, "user").unwrap_or_default();
    let target = || number(data, "target");
    let (body, actor) = match kind {
        "message" => return Some(message(data)),
        "message.edited" => (Body::Edited { target: target() }, text(data, "by")),
        "message.deleted" => (Body::Deleted { target: target() }, text(data, "by")),
        "room.created" => (Body::Created { members: texts(data, "members") }, text(data, "by")),
        "member.joined" => (Body::Joined, Some(user())),
        "member.left" => (Body::Left, Some(user())),
        "member.invited" => (Body::Invited { user: user() }, text(data, "by")),
        "member.kicked" => (Body::Kicked { user: user() }, text(data, "by")),
        other => (Body::Other(other.trim_start_matches("room.").to_owned()), text(data, "by")),
    };
    Some(Event { seq: offset, id: String::new(), actor, at: number(data, "ts"), body })
}

/// A publication of a personal stream: what it says is its identity, for all devices of the user must see the same.
pub(crate) fn personal(publication: &Value) -> Option<Event> {
    let offset = number(publication, "offset");
    let data = &publication["data"];
    (offset != 0).then(|| Event { seq: offset, id: data.to_string(), actor: None, at: 0, body: told(data) })
}

fn told(data: &Value) -> Body {
    let kind = text(data, "type").unwrap_or_default();
    match (kind.strip_prefix("room."), text(data, "room")) {
        (Some(change), Some(room)) => {
            Body::Told { kind: change.to_owned(), room: format!("room:{room}"), room_seq: number(data, "room_seq") }
        }
        _ => Body::Other(kind),
    }
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A message in a publication or in a page of `message.history`.
pub(crate) fn message(data: &Value) -> Event {
    Event {
        seq: number(data, "seq"),
        id: text(data, "id").unwrap_or_default(),
        actor: text(data, "sender"),
        at: number(data, "ts"),
        body: Body::Message {
            no: number(data, "no"),
            client_id: text(data, "client_id"),
            text: text(data, "body").unwrap_or_default(),
        },
    }
}
