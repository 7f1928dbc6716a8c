//! The AsyncAPI document of the socket: its rpc methods with what they take and give, from the types themselves, and the
//! publications that a client hears.

use crate::actors::wire::EventBody;
use crate::api::operations::Method;
use crate::api::schema::Described;
use serde_json::{Map, Value, json};

/// What is published to the user's own channel, by the `type` of its data.
const TO_USERS: [&str; 10] = [
    "room.joined",
    "room.left",
    "room.invited",
    "room.kicked",
    "room.ended",
    "room.reopened",
    "user.blocked",
    "user.unblocked",
    "preferences",
    "notification.read",
];

/// The document.
#[must_use]
pub(crate) fn document() -> Value {
    let (mut schemas, mut messages, mut operations) = (Map::new(), Map::new(), Map::new());
    for method in Method::ALL {
        let name = method.name();
        let (takes, gives) = method.types();
        let reference = |of: &Described| json!({ "$ref": format!("#/components/schemas/{}", of.name) });
        // What it is about and what is said beside it come in one object.
        let parts: Vec<Value> = takes.iter().map(reference).collect();
        messages.insert(name.to_owned(), json!({ "payload": { "allOf": parts } }));
        messages.insert(format!("{name}.reply"), json!({ "payload": reference(&gives) }));
        let message = |suffix: &str| json!([{ "$ref": format!("#/channels/socket/messages/{name}{suffix}") }]);
        let channel = json!({ "$ref": "#/channels/socket" });
        operations.insert(
            name.to_owned(),
            json!({ "action": "receive", "summary": method.about().trim_end_matches('.'), "channel": channel, "messages": message(""),
                "reply": { "channel": channel, "messages": message(".reply") } }),
        );
        for (name, schema) in takes.into_iter().chain([gives]).flat_map(|of| of.schemas) {
            schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
    }
    for (channel, types, about) in [
        ("room", EventBody::NAMES.as_slice(), "What happens in a chat, to its members"),
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
    fn the_protocol_s_page_tells_every_method_and_every_publication() {
        let page = include_str!("../../../docs/protocol.md");
        for method in Method::ALL {
            assert!(page.contains(&format!("`{}`", method.name())), "docs/protocol.md does not tell {}", method.name());
        }
        for name in EventBody::NAMES.iter().chain(&TO_USERS) {
            assert!(page.contains(&format!("\"{name}\"")), "docs/protocol.md does not tell {name}");
        }
    }

    #[test]
    fn every_type_of_publication_is_the_code_s_own() {
        let source = include_str!("../protocol/publication.rs");
        for name in &TO_USERS {
            assert!(source.contains(&format!("\"{name}\"")), "{name} is published by nothing");
        }
    }
}
