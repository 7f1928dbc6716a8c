//! Every route that takes a user's token is paid for by that user.

use serde_json::{Value, json};

use super::support::Rig;
use crate::api::operations::admission::{Cost, Payer};
use crate::ids::UserId;

const BOUNDARY: &str = "a-boundary-of-the-tests";

/// Routes that do not look at the user's share, and why not.
const FREE: [(&str, &str); 4] = [
    // Whoever has lost a token must be able to take it back, whatever the thief has used up. It ends what there is.
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/sessions"),
    ("DELETE", "/api/auth/sessions/{id}"),
    // Counted by address, with the other attempts at a password.
    ("POST", "/api/auth/password"),
];

/// A body with which a route would do something. A new route fails before it is said here.
fn body(method: &str, path: &str) -> Value {
    match (method, path) {
        ("GET" | "DELETE", _) => Value::Null,
        ("POST", "/api/chats/{chat}/join" | "/api/chats/{chat}/leave" | "/api/chats/{chat}/typing") => Value::Null,
        ("PUT", "/api/users/{user}/block" | "/api/chats/{chat}/messages/{seq}/reactions/{emoji}") => Value::Null,
        ("POST", "/api/chats") => json!({ "kind": "group", "members": ["bob"] }),
        ("PATCH", "/api/chats/{chat}") => json!({ "title": "t" }),
        ("POST", "/api/chats/{chat}/members") => json!({ "user": "cat" }),
        ("POST", "/api/chats/{chat}/messages") | ("PATCH", "/api/chats/{chat}/messages/{seq}") => {
            json!({ "body": "x" })
        }
        ("POST", "/api/chats/{chat}/read" | "/api/chats/{chat}/delivered") => json!({ "seq": 1 }),
        ("PUT", "/api/chats/{chat}/mute") => json!({}),
        ("PUT", "/api/users/me/devices/{device}") => json!({ "platform": "web" }),
        ("PATCH", "/api/users/me") => json!({ "first_name": "A" }),
        ("POST", "/api/notifications/read") => json!({ "all": true }),
        ("POST", "/api/events") => json!({ "events": [{ "type": "t" }] }),
        _ => panic!("say here what {method} {path} takes"),
    }
}

#[tokio::test]
async fn no_route_does_anything_for_who_has_used_up_his_share() {
    let rig = Rig::with(|config| {
        let limits = &mut config.limits;
        (limits.messages_per_minute, limits.changes_per_minute, limits.questions_per_minute) = (60, 60, 60);
        (limits.burst, limits.changes_burst, limits.questions_burst) = (1_000, 1_000, 1_000);
    })
    .await;
    let made = rig.call("ann", "POST", "/api/chats", json!({ "kind": "group", "members": ["bob"] })).await;
    let chat = made.body["room"].as_str().unwrap().to_owned();
    let handlers = rig.engine.as_ref().unwrap().handlers();
    let ann = Payer::User(UserId::new("ann").unwrap());
    for cost in [Cost::Message, Cost::CHANGE, Cost::QUESTION] {
        (0..2_000).for_each(|_| handlers.admission().charge(&ann, cost));
    }
    let document = serde_json::to_value(super::super::document()).unwrap();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            if operation["security"][0]["bearer"].is_null() || FREE.contains(&(&*method, path)) {
                continue;
            }
            let concrete = path
                .replace("{chat}", &chat)
                .replace("{id}", &uuid::Uuid::from_u128(1).to_string())
                .replace("{seq}", "1")
                .replace("{emoji}", "%F0%9F%91%8D")
                .replace(['{', '}'], "");
            let concrete = match path.as_str() {
                "/api/users" => format!("{concrete}?q=a"),
                "/api/users/presence" => format!("{concrete}?ids=bob"),
                _ => concrete,
            };
            let answer = if (&*method, path.as_str()) == ("POST", "/api/uploads") {
                let kind = format!("multipart/form-data; boundary={BOUNDARY}");
                let token = format!("Bearer {}", rig.token("ann"));
                let headers = [("content-type", kind.as_str()), ("authorization", token.as_str())];
                rig.raw(&method, &concrete, &headers, format!("--{BOUNDARY}--\r\n").into_bytes()).await
            } else {
                rig.call("ann", &method, &concrete, body(&method, path)).await
            };
            assert_eq!(answer.refusal(), (429, "too_many_requests"), "{method} {path}: {answer:?}");
            let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            let ms = answer.body["error"]["retry_after_ms"].as_u64().unwrap();
            assert!(seconds > 0 && seconds == ms.div_ceil(1_000), "{method} {path}: {answer:?}");
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen} routes");
    let others = rig.call("bob", "POST", &format!("/api/chats/{chat}/messages"), json!({ "body": "x" })).await;
    assert_eq!(others.status, 201);
    let channel = format!("room:{chat}");
    let as_ann = json!({ "channel": channel, "data": "x", "user": "ann" });
    assert!(rig.back_end("publish", as_ann).await.is_ok(), "a back end does not pay for whom it speaks");
}
