//! The AsyncAPI document of the socket: its rpc methods with what they take and give, from the types themselves, and the
//! publications that a client hears.

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::operations::Method;
use crate::api::operations::input::{
    AtSeq, Create, Delete, Device, Edit, History, InRoom, List, Members, Message, Preferences, Presence, Uninvite,
    Update, UserInRoom, Whom,
};
use crate::api::operations::view::{
    Created, Done, Happened, HistoryPage, Marked, MemberPage, PreferencesView, PresencePage, RoomPage, RoomView, Sent,
    TakenBack,
};

/// What is published in a room, by the `type` of its data; and to the user's own channel.
const IN_ROOMS: [&str; 13] = [
    "message",
    "message.edited",
    "message.deleted",
    "member.joined",
    "member.left",
    "member.invited",
    "member.kicked",
    "member.uninvited",
    "room.created",
    "room.updated",
    "room.reopened",
    "room.ended",
    "room.expired",
];
const TO_USERS: [&str; 9] = [
    "room.joined",
    "room.left",
    "room.invited",
    "room.kicked",
    "room.ended",
    "room.reopened",
    "user.blocked",
    "user.unblocked",
    "preferences",
];

/// Name and schema of a type, and of those in it.
struct Described {
    name: String,
    schemas: Vec<(String, RefOr<Schema>)>,
}

fn described<T: ToSchema + PartialSchema>() -> Described {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    Described { name: T::name().into_owned(), schemas }
}

/// What a method takes and gives.
fn types(method: Method) -> (Described, Described) {
    match method {
        Method::MessageSend => (described::<Message>(), described::<Sent>()),
        Method::MessageEdit => (described::<Edit>(), described::<Happened>()),
        Method::MessageDelete => (described::<Delete>(), described::<Happened>()),
        Method::MessageHistory => (described::<History>(), described::<HistoryPage>()),
        Method::MessageDelivered => (described::<AtSeq>(), described::<Done>()),
        Method::RoomCreate => (described::<Create>(), described::<Created>()),
        Method::RoomList => (described::<List>(), described::<RoomPage>()),
        Method::RoomGet => (described::<InRoom>(), described::<RoomView>()),
        Method::RoomUpdate => (described::<Update>(), described::<Happened>()),
        Method::RoomJoin | Method::RoomLeave | Method::RoomEnd => (described::<InRoom>(), described::<Happened>()),
        Method::RoomInvite | Method::RoomKick => (described::<UserInRoom>(), described::<Happened>()),
        Method::RoomUninvite => (described::<Uninvite>(), described::<TakenBack>()),
        Method::RoomMembers => (described::<Members>(), described::<MemberPage>()),
        Method::ReadMark => (described::<AtSeq>(), described::<Marked>()),
        Method::Typing => (described::<InRoom>(), described::<Done>()),
        Method::PresenceGet => (described::<Presence>(), described::<PresencePage>()),
        Method::UserBlock | Method::UserUnblock => (described::<Whom>(), described::<Done>()),
        Method::UserDevice => (described::<Device>(), described::<Done>()),
        Method::UserPreferences => (described::<Preferences>(), described::<PreferencesView>()),
    }
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let (mut schemas, mut messages, mut operations) = (Map::new(), Map::new(), Map::new());
    for method in Method::ALL {
        let name = method.name();
        let (takes, gives) = types(*method);
        for (suffix, what) in [("", &takes), (".reply", &gives)] {
            let payload = json!({ "$ref": format!("#/components/schemas/{}", what.name) });
            messages.insert(format!("{name}{suffix}"), json!({ "payload": payload }));
        }
        let message = |suffix: &str| json!([{ "$ref": format!("#/channels/socket/messages/{name}{suffix}") }]);
        let channel = json!({ "$ref": "#/channels/socket" });
        operations.insert(
            name.to_owned(),
            json!({ "action": "receive", "summary": method.about().trim_end_matches('.'), "channel": channel, "messages": message(""),
                "reply": { "channel": channel, "messages": message(".reply") } }),
        );
        for (name, schema) in takes.schemas.into_iter().chain(gives.schemas) {
            schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
    }
    for (channel, types, about) in [
        ("room", IN_ROOMS.as_slice(), "What happens in a chat, to its members"),
        ("personal", TO_USERS.as_slice(), "What concerns a user, to all of his connections"),
    ] {
        let payload = json!({ "type": "object", "required": ["type", "seq", "ts"], "properties": {
            "type": { "enum": types }, "seq": { "type": "integer" }, "ts": { "type": "integer" } } });
        messages.insert(format!("{channel}.publication"), json!({ "payload": payload }));
        operations.insert(
            format!("{channel}.publication"),
            json!({ "action": "send", "summary": about, "channel": { "$ref": "#/channels/socket" },
                "messages": [{ "$ref": format!("#/channels/socket/messages/{channel}.publication") }] }),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": "Kervan", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": { "name": "Apache-2.0" } },
        "defaultContentType": "application/json",
        "channels": { "socket": { "address": "/connection/websocket", "messages": messages } },
        "operations": operations,
        "components": { "schemas": schemas },
    })
}

const ABOUT: &str = "The socket speaks the Centrifuge client protocol, version 2: each operation here is an rpc command \
                     with its method's name, and each publication comes in a channel, `room:<uuid>` or `#<user>`.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_in_it_and_every_reference_leads_somewhere() {
        let document = document();
        for method in Method::ALL {
            assert!(document["operations"][method.name()].is_object(), "{}", method.name());
        }
        let text = document.to_string();
        for piece in text.split("\"$ref\":\"#").skip(1) {
            let pointer = piece.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn every_type_of_publication_is_the_code_s_own() {
        let source = include_str!("../protocol/publication.rs");
        for name in IN_ROOMS.iter().chain(&TO_USERS) {
            assert!(source.contains(&format!("\"{name}\"")), "{name} is published by nothing");
        }
    }
}
