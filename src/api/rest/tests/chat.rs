//! A chat by HTTP alone.

use serde_json::{Value, json};

use super::support::Rig;
use crate::testing::until;

/// A group of alice's with bob in it.
async fn group(rig: &Rig) -> String {
    let made = rig.call("alice", "POST", "/api/chats", json!({"members": ["bob"], "title": "Caravan"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["room"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_users_chat_by_http() {
    let rig = Rig::start().await;
    let chat = group(&rig).await;
    let messages = format!("/api/chats/{chat}/messages");
    let sent = rig.call("alice", "POST", &messages, json!({"client_id": "m-1", "body": "hello"})).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let again = rig.call("alice", "POST", &messages, json!({"client_id": "m-1", "body": "hello"})).await;
    assert_eq!((again.status, &again.body["id"]), (200, &sent.body["id"]), "a retry is answered with the first one");
    let token = format!("Bearer {}", rig.token("bob"));
    let headers = [("authorization", &token[..]), ("idempotency-key", "b-1")];
    for status in [201, 200] {
        let by_header =
            rig.send("POST", &messages, &headers, json!({"body": "hi", "metadata": {"b": 1, "a": 2}})).await;
        assert_eq!(by_header.status, status, "{by_header:?}");
    }
    let page = rig.call("bob", "GET", &format!("{messages}?limit=10"), Value::Null).await;
    let bodies: Vec<_> =
        page.body["messages"].as_array().unwrap().iter().map(|m| m["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["hello", "hi"]);

    let seq = sent.body["seq"].as_u64().unwrap();
    let line = |list: &Value| list["rooms"][0].clone();
    let list = rig.call("bob", "GET", "/api/chats", Value::Null).await;
    assert_eq!(
        (&line(&list.body)["title"], &line(&list.body)["last_message"]["body"]),
        (&json!("Caravan"), &json!("hi"))
    );
    let edited = rig.call("alice", "PATCH", &format!("{messages}/{seq}"), json!({"body": "hello!"})).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let foreign = rig.call("bob", "PATCH", &format!("{messages}/{seq}"), json!({"body": "mine"})).await;
    assert_eq!(foreign.refusal(), (403, "permission_denied"));
    let read = rig.call("alice", "POST", &format!("/api/chats/{chat}/read"), json!({"seq": 100})).await;
    assert_eq!((read.status, &read.body["unread"]), (200, &json!(0)), "{read:?}");
    let deleted = rig.call("alice", "DELETE", &format!("{messages}/{seq}"), Value::Null).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");

    let members = rig.call("bob", "GET", &format!("/api/chats/{chat}/members?marks=true"), Value::Null).await;
    assert_eq!(members.body["total"], 2, "{members:?}");
    let asked = rig.call("bob", "POST", &format!("/api/chats/{chat}/members"), json!({"user": "carol"})).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let path = format!("/api/invitations?chat={chat}");
    until("the store has the invitation, and it is taken back", async || {
        let taken = rig.call("bob", "DELETE", &path, Value::Null).await;
        assert_eq!(taken.status, 200, "{taken:?}");
        taken.body["taken"] == 1
    })
    .await;
    let foreign = rig.call("bob", "DELETE", "/api/invitations?inviter=alice", Value::Null).await;
    assert_eq!(foreign.refusal(), (400, "bad_request"), "in which chat?");
    let kicked = rig.call("alice", "DELETE", &format!("/api/chats/{chat}/members/bob"), Value::Null).await;
    assert_eq!(kicked.status, 200, "{kicked:?}");
    let gone = rig.call("bob", "POST", &messages, json!({"body": "still here?"})).await;
    assert_eq!(gone.refusal(), (404, "not_found"));
    let ended = rig.call("alice", "DELETE", &format!("/api/chats/{chat}"), Value::Null).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let over = rig.call("alice", "POST", &messages, json!({"body": "anybody?"})).await;
    assert_eq!(over.refusal(), (410, "ended"));
}

#[tokio::test]
async fn a_stranger_gets_one_answer_whether_a_chat_exists_or_not() {
    let rig = Rig::start().await;
    let (chat, none) = (group(&rig).await, uuid::Uuid::from_u128(7).to_string());
    for (method, rest, body) in [
        ("GET", "", Value::Null),
        ("PATCH", "", json!({"title": "mine"})),
        ("DELETE", "", Value::Null),
        ("POST", "/join", Value::Null),
        ("POST", "/leave", Value::Null),
        ("POST", "/typing", Value::Null),
        ("GET", "/members", Value::Null),
        ("POST", "/members", json!({"user": "mallory"})),
        ("DELETE", "/members/bob", Value::Null),
        ("GET", "/messages", Value::Null),
        ("POST", "/messages", json!({"body": "let me in"})),
        ("PATCH", "/messages/1", json!({"body": "x"})),
        ("DELETE", "/messages/1", Value::Null),
        ("POST", "/read", json!({"seq": 1})),
        ("POST", "/delivered", json!({"seq": 1})),
    ] {
        let mut answers = Vec::new();
        for id in [&chat, &none] {
            let answer = rig.call("mallory", method, &format!("/api/chats/{id}{rest}"), body.clone()).await;
            assert!([403, 404].contains(&answer.status), "{method} {rest}: {answer:?}");
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0], answers[1], "{method} {rest}");
    }
}

#[tokio::test]
async fn nothing_is_had_without_a_good_token() {
    let rig = Rig::start().await;
    let bad = [
        (None, "unauthorized"),
        (Some("Bearer "), "unauthorized"),
        (Some("Bearer a.b.c"), "unauthorized"),
        (Some("Basic YWxpY2U6cHc="), "unauthorized"),
    ];
    for (header, code) in bad {
        let headers: Vec<_> = header.map(|value| ("authorization", value)).into_iter().collect();
        let answer = rig.send("GET", "/api/chats", &headers, Value::Null).await;
        assert_eq!(answer.refusal(), (401, code), "{header:?}");
    }
}

#[tokio::test]
async fn bad_input_is_named() {
    let rig = Rig::start().await;
    let chat = group(&rig).await;
    let messages = format!("/api/chats/{chat}/messages");
    let deep = "[".repeat(200) + &"]".repeat(200);
    let token = format!("Bearer {}", rig.token("alice"));
    let json_type = ("content-type", "application/json");
    let auth = ("authorization", &token[..]);
    type Case<'a> = (&'a str, Vec<u8>, Vec<(&'a str, &'a str)>, (u16, &'a str));
    let cases: Vec<Case<'_>> = vec![
        (&messages, b"{".to_vec(), vec![json_type, auth], (400, "bad_request")),
        (&messages, deep.into_bytes(), vec![json_type, auth], (400, "bad_request")),
        (&messages, br#"{"body": 7}"#.to_vec(), vec![json_type, auth], (400, "bad_request")),
        (
            &messages,
            br#"{"body": "x"}"#.to_vec(),
            vec![("content-type", "text/plain"), auth],
            (415, "unsupported_media_type"),
        ),
        (&messages, vec![b' '; 100_000], vec![json_type, auth], (413, "too_large")),
        (
            &messages,
            json!({"body": "x".repeat(33_000)}).to_string().into_bytes(),
            vec![json_type, auth],
            (413, "too_large"),
        ),
        (&messages, br#"{"body": "a\u0000b"}"#.to_vec(), vec![json_type, auth], (400, "bad_request")),
        (&messages, br#"{"body": "x"}"#.to_vec(), vec![json_type, auth, ("idempotency-key", "")], (400, "bad_request")),
        ("/api/chats/no-uuid/messages", br#"{"body": "x"}"#.to_vec(), vec![json_type, auth], (400, "bad_request")),
        ("/api/nothing", br"{}".to_vec(), vec![json_type, auth], (404, "not_found")),
        ("/api/config", br"{}".to_vec(), vec![json_type, auth], (405, "method_not_allowed")),
    ];
    for (path, body, headers, expected) in cases {
        let text = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = rig.raw("POST", path, &headers, body).await;
        assert_eq!(answer.refusal(), expected, "{path} {text}: {answer:?}");
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let rig = Rig::start().await;
    let messages = format!("/api/chats/{}/messages", group(&rig).await);
    let sent = rig.call("alice", "POST", &messages, json!({"client_id": "m-1", "body": "hello"})).await;
    let rig = rig.restart(|_| ()).await;
    let page = rig.call("bob", "GET", &messages, Value::Null).await;
    assert_eq!(page.body["messages"][0]["id"], sent.body["id"]);
    let again = rig.call("alice", "POST", &messages, json!({"client_id": "m-1", "body": "hello"})).await;
    assert_eq!((again.status, &again.body["seq"]), (200, &sent.body["seq"]));
}

#[tokio::test]
async fn a_user_is_held_to_his_messages_over_http() {
    let rig = Rig::with(|config| (config.limits.messages_per_minute, config.limits.burst) = (60, 2)).await;
    let messages = format!("/api/chats/{}/messages", group(&rig).await);
    for _ in 0..2 {
        assert_eq!(rig.call("alice", "POST", &messages, json!({"body": "x"})).await.status, 201);
    }
    let refused = rig.call("alice", "POST", &messages, json!({"body": "x"})).await;
    assert_eq!(refused.refusal(), (429, "too_many_requests"));
    assert!(refused.body["error"]["retry_after_ms"].as_u64().unwrap() <= 1_000, "{refused:?}");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(rig.call("bob", "POST", &messages, json!({"body": "x"})).await.status, 201, "others are free");
}

#[tokio::test]
async fn pages_of_the_named_origins_may_call_and_others_may_not() {
    let rig =
        Rig::with(|config| config.server.allowed_origins = vec!["https://chat.example.com".parse().unwrap()]).await;
    let ask = async |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        rig.raw("OPTIONS", "/api/chats", &headers, Vec::new()).await.headers
    };
    assert_eq!(ask("https://chat.example.com").await["access-control-allow-origin"], "https://chat.example.com");
    assert!(!ask("https://evil.example.com").await.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn in_development_pages_of_this_machine_may_call_by_every_way_and_others_by_none() {
    let rig = Rig::start().await;
    let paths =
        ["/api/chats", "/api/auth/login", "/api/uploads", "/connection/http_stream", "/connection/sse", "/emulation"];
    for path in paths {
        for (origin, may) in [("http://localhost:5173", true), ("https://evil.example.com", false), ("null", false)] {
            let headers = [("origin", origin), ("access-control-request-method", "POST")];
            let answer = rig.raw("OPTIONS", path, &headers, Vec::new()).await;
            let allowed = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(allowed, may.then_some(origin), "{path}");
        }
    }
    for path in ["/connection/http_stream", "/connection/sse?cf_connect=%7B%7D", "/emulation", "/connection/websocket"]
    {
        let method = if path.starts_with("/connection/sse") || path.ends_with("websocket") { "GET" } else { "POST" };
        let mut headers = vec![("origin", "https://evil.example.com"), ("content-type", "application/json")];
        if path.ends_with("websocket") {
            headers.extend([("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]);
            headers.push(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="));
        }
        let answer = rig.raw(method, path, &headers, if method == "POST" { b"{}".to_vec() } else { Vec::new() }).await;
        assert_eq!(answer.refusal(), (403, "origin_not_allowed"), "{path}");
    }
}

#[tokio::test]
async fn ids_that_have_commas_are_named_one_by_one() {
    let rig = Rig::start().await;
    for (query, users) in [
        ("ids=bob,co%2Cmma", &["bob", "co", "mma"][..]),
        ("ids=bob&ids=co%2Cmma", &["bob", "co,mma"]),
        ("ids=co%2Cmma&ids=", &["co,mma"]),
    ] {
        let answer = rig.call("alice", "GET", &format!("/api/users/presence?{query}"), Value::Null).await;
        let told = answer.body["users"].as_object().unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(told.keys().collect::<Vec<_>>(), users, "{query}");
        assert_eq!(rig.call("alice", "GET", &format!("/api/users?{query}"), Value::Null).await.status, 200);
    }
    for path in ["/api/users/presence", "/api/users", "/api/users?limit=x&ids=bob"] {
        assert_eq!(rig.call("alice", "GET", path, Value::Null).await.refusal(), (400, "bad_request"), "{path}");
    }
}

#[tokio::test]
async fn a_node_whose_memory_for_rooms_is_spent_says_503_and_when_to_come_again() {
    let rig = Rig::start().await;
    let made = rig.call("ann", "POST", "/api/chats", json!({ "kind": "group", "members": ["bob"] })).await;
    let chat = format!("/api/chats/{}", made.body["room"].as_str().unwrap());
    // Too little for a single room: whatever is cold stays cold.
    let rig = rig.restart(|config| config.limits.room_memory.0 = 1_024).await;
    for (method, path, body) in [
        ("POST", format!("{chat}/messages"), json!({ "body": "x" })),
        ("POST", "/api/chats".to_owned(), json!({ "kind": "group" })),
        ("GET", chat.clone(), Value::Null),
        ("GET", format!("{chat}/messages"), Value::Null),
    ] {
        let answer = rig.call("ann", method, &path, body).await;
        assert_eq!(answer.refusal(), (503, "unavailable"), "{method} {path}: {answer:?}");
        let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        let ms = answer.body["error"]["retry_after_ms"].as_u64().unwrap();
        assert!(ms > 0 && seconds == ms.div_ceil(1_000), "{method} {path}: {answer:?}");
    }
    assert!(rig.metrics.memory_refused.get() >= 4);
    let rig = rig.restart(|_| ()).await;
    let sent = rig.call("ann", "POST", &format!("{chat}/messages"), json!({ "body": "x" })).await;
    assert_eq!(sent.status, 201, "with memory again nothing is lost");
}
