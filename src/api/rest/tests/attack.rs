//! Bad input over every route that the document names: whatever comes, the answer is a refusal in the one shape or a
//! result, never a fault of the server, and what was there before is there afterwards. A new route is in it by itself,
//! because the rows are made for each operation of the document; what it takes a body or a parameter for, it is sent.

use serde_json::{Value, json};

use super::support::{Answer, KEY, Rig};
use crate::api::operations::{Caller, Method};
use crate::api::protocol::codes::ErrorCode;
use crate::ids::UserId;

/// Values that no field expects, or that try to be more than a value.
fn hostile() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(u64::MAX),
        json!(""),
        json!("' OR 1=1; DROP TABLE users; --"),
        json!("\" UNION SELECT password_hash FROM users --"),
        json!("../../../../etc/passwd"),
        json!("%00\u{0}"),
        json!("line\r\nset-cookie: x=y"),
        json!("<script>alert(1)</script>"),
        json!("\u{202e}\u{feff}\u{1f468}\u{200d}\u{1f469}"),
        json!("x".repeat(40_000)),
        json!([]),
        json!([{"a": [1, 2, {"b": null}]}]),
        json!({"$ne": null, "__proto__": {"admin": true}}),
        deep,
    ]
}

/// What stands in a path for a parameter, percent-encoded.
const PATHS: [&str; 8] = [
    "00000000-0000-0000-0000-000000000007",
    "..%2F..%2Fetc%2Fpasswd",
    "%00",
    "%27%20OR%201%3D1--",
    "%0d%0aset-cookie:x=y",
    "-1",
    "99999999999999999999999999",
    "%F0%9F%90%AA",
];

fn assert_refused_well(answer: &Answer, what: &str) {
    assert!(answer.status < 500 || answer.status == 503, "{what}: {answer:?}");
    if answer.status >= 400 {
        assert!(answer.body["error"]["code"].is_string(), "{what}: {answer:?}");
    }
    assert!(!answer.headers.contains_key("set-cookie"), "{what}: {answer:?}");
}

/// As somebody with an account, and as a back end at the same time: whichever the route asks for.
async fn call(rig: &Rig, method: &str, path: &str, body: Value) -> Answer {
    let token = format!("Bearer {}", rig.token("mallory"));
    rig.send(method, path, &[("authorization", &token), ("x-api-key", KEY)], body).await
}

#[tokio::test]
async fn no_route_has_a_fault_for_any_input_and_nothing_is_lost_by_it() {
    let rig = Rig::with(|config| {
        config.limits.messages_per_minute = 0;
        config.limits.sign_ins_per_minute = 0;
        config.limits.connections_per_address = 0;
    })
    .await;
    let made = rig.call("alice", "POST", "/api/chats", json!({"members": ["bob"], "title": "Caravan"})).await;
    let chat = made.body["room"].as_str().unwrap().to_owned();
    let messages = format!("/api/chats/{chat}/messages");
    let kept = rig.call("alice", "POST", &messages, json!({"client_id": "kept", "body": "kept"})).await;
    assert_eq!(kept.status, 201, "{kept:?}");

    let document = serde_json::to_value(super::super::document()).unwrap();
    let mut rows = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let mut concrete: Vec<String> = PATHS
                .iter()
                .map(|bad| {
                    path.split('/')
                        .map(|part| if part.starts_with('{') { bad } else { part })
                        .collect::<Vec<_>>()
                        .join("/")
                })
                .collect();
            // Of a chat that is there as well; mallory is a stranger to it.
            concrete.push(
                path.replace("{chat}", &chat).replace("{seq}", "2").replace("{user}", "bob").replace(['{', '}'], ""),
            );
            concrete.dedup();
            for path in &concrete {
                for query in ["", "?limit=0", "?limit=x&before=-1&after=%00", "?q=%27--&ids=,,&cursor=%7B"] {
                    let what = format!("{method} {path}{query}");
                    assert_refused_well(&call(&rig, &method, &format!("{path}{query}"), Value::Null).await, &what);
                    rows += 1;
                }
            }
            let Some(schema) = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()
            else {
                continue;
            };
            let schema = document.pointer(&schema[1..]).unwrap();
            let target = concrete.last().unwrap();
            for value in hostile() {
                let mut bodies = vec![value.clone()];
                // Each field on its own, and all of them at once.
                let fields: Vec<_> = schema["properties"].as_object().into_iter().flat_map(|all| all.keys()).collect();
                bodies.extend(fields.iter().map(|field| json!({ field.as_str(): value })));
                bodies.push(
                    fields
                        .iter()
                        .map(|field| ((*field).clone(), value.clone()))
                        .collect::<serde_json::Map<_, _>>()
                        .into(),
                );
                for body in bodies {
                    let shown: String = body.to_string().chars().take(120).collect();
                    assert_refused_well(
                        &call(&rig, &method, target, body).await,
                        &format!("{method} {target} {shown}"),
                    );
                    rows += 1;
                }
            }
        }
    }
    assert!(rows > 1_000, "{rows} rows");

    let page = rig.call("bob", "GET", &messages, Value::Null).await;
    assert_eq!(page.body["messages"], json!([page.body["messages"][0]]), "mallory has left nothing: {page:?}");
    assert_eq!(page.body["messages"][0]["body"], "kept");
    let members = rig.call("bob", "GET", &format!("/api/chats/{chat}/members"), Value::Null).await;
    assert_eq!(members.body["total"], 2, "{members:?}");
    let rig = rig.restart(|_| ()).await;
    assert_eq!(rig.call("bob", "GET", &messages, Value::Null).await.body["messages"][0]["body"], "kept");
}

#[tokio::test]
async fn no_method_has_a_fault_for_any_input_and_a_stranger_learns_nothing() {
    let rig = Rig::with(|config| config.limits.messages_per_minute = 0).await;
    let made = rig.call("alice", "POST", "/api/chats", json!({"members": ["bob"], "title": "Caravan"})).await;
    let room = made.body["room"].clone();
    let handlers = rig.engine.as_ref().unwrap().handlers();
    let mallory = Caller::new(UserId::new("mallory").unwrap());
    let document = super::super::asyncapi::document();
    let mut rows = 0;
    // A new method is in it by itself: its fields are those of its type.
    for method in Method::ALL {
        let parts = &document["channels"]["socket"]["messages"][method.name()]["payload"]["allOf"];
        let schema =
            |part: &Value| document.pointer(&part["$ref"].as_str().unwrap()[1..]).unwrap()["properties"].clone();
        let schemas: Vec<Value> = parts.as_array().unwrap().iter().map(schema).collect();
        let fields: Vec<_> = schemas.iter().filter_map(Value::as_object).flat_map(|all| all.keys()).collect();
        for value in hostile() {
            let mut inputs = vec![value.clone()];
            for field in &fields {
                inputs.push(json!({ field.as_str(): value }));
                // With the other fields as they should be.
                inputs.push(
                    json!({"room": room, "seq": 1, "user": "bob", "target": 1, "body": "x", field.as_str(): value}),
                );
            }
            for input in inputs {
                let shown: String = input.to_string().chars().take(120).collect();
                let done = handlers.run(&mallory, *method, input.to_string().as_bytes()).await;
                let code = done.as_ref().map_or_else(|error| error.to_protocol().code, |_| 0);
                assert_ne!(code, ErrorCode::INTERNAL.code, "{}: {shown}", method.name());
                rows += 1;
            }
        }
        // Somebody else's room, and none: the same answer.
        let of = |room: Value| {
            json!({"room": room, "user": "bob", "seq": 1, "target": 1, "body": "x", "title": "mine", "client_id": "m-1"})
                .to_string()
        };
        let theirs = handlers.run(&mallory, *method, of(room.clone()).as_bytes()).await;
        let none = handlers.run(&mallory, *method, of(json!(uuid::Uuid::from_u128(9))).as_bytes()).await;
        if method.name() != "room.create" && !method.name().ends_with("list") {
            assert_eq!(theirs, none, "{}", method.name());
        }
    }
    assert!(rows > 1_500, "{rows} rows");
    let page = rig.call("bob", "GET", &format!("/api/chats/{}", room.as_str().unwrap()), Value::Null).await;
    assert_eq!((&page.body["title"], &page.body["members"]), (&json!("Caravan"), &json!(2)), "{page:?}");
}

#[tokio::test]
async fn what_is_the_operators_is_not_on_the_public_port() {
    let rig = Rig::start().await;
    for path in [
        "/metrics",
        "/admin/backup",
        "/admin/actors",
        "/admin/rooms",
        "/admin/users",
        "/admin/config",
        "/admin/audit",
        "/admin/log",
    ] {
        for method in ["GET", "POST"] {
            let answer = rig.call("alice", method, path, Value::Null).await;
            assert_eq!(answer.refusal(), (404, "not_found"), "{method} {path}");
        }
    }
}
