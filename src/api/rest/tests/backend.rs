//! The server API: what back ends do, and what clients see of it.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::support::{KEY, Rig};
use crate::config::Namespace;
use crate::testing::within;

/// A client that speaks JSON, with what came in one frame and is not read yet.
struct Client(WebSocketStream<TcpStream>, VecDeque<Value>);

/// How a connection ended: code and reason.
type End = (u16, String);

impl Client {
    async fn connect(rig: &Rig, user: &str) -> (Self, Value) {
        let stream = TcpStream::connect(rig.address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{}/connection/websocket", rig.address), stream).await.unwrap();
        let mut client = Self(socket, VecDeque::new());
        let reply = client.ask(json!({"id": 1, "connect": {"token": rig.token(user)}})).await;
        (client, reply)
    }

    /// The reply to a command; pushes before it are skipped.
    async fn ask(&mut self, command: Value) -> Value {
        let id = command["id"].clone();
        self.0.send(Message::text(command.to_string())).await.unwrap();
        self.until(move |message| message["id"] == id).await
    }

    /// The next message like this.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await.expect("still connected");
            if wanted(&message) {
                return message;
            }
        }
    }

    async fn push(&mut self, kind: &str) -> Value {
        self.until(|message| message["push"].get(kind).is_some()).await["push"].clone()
    }

    async fn closed(mut self) -> End {
        loop {
            if let Err(end) = self.next().await {
                return end;
            }
        }
    }

    async fn next(&mut self) -> Result<Value, End> {
        if let Some(message) = self.1.pop_front() {
            return Ok(message);
        }
        match within("a message", self.0.next()).await.unwrap().unwrap() {
            Message::Text(text) => {
                self.1.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
                Ok(self.1.pop_front().unwrap())
            }
            Message::Close(frame) => {
                let frame = frame.unwrap();
                Err((frame.code.into(), frame.reason.to_string()))
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn room_of(rig: &Rig, members: &[&str]) -> String {
    let made = rig.call("alice", "POST", "/api/chats", json!({"members": members, "title": "Caravan"})).await;
    made.body["room"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_its_key_nobody_is_a_back_end_and_without_one_at_all_there_is_no_such_api() {
    let rig = Rig::start().await;
    let body = json!({"channel": "news", "data": 1});
    let bearer = format!("Bearer {}", rig.token("alice"));
    for headers in
        [vec![], vec![("x-api-key", "a key")], vec![("x-api-key", "")], vec![("authorization", bearer.as_str())]]
    {
        let answer = rig.send("POST", "/api/publish", &headers, body.clone()).await;
        assert_eq!(answer.refusal(), (401, "unauthorized"), "{headers:?}");
    }
    let shown = format!("apikey {KEY}");
    let answer = rig.send("POST", "/api/publish", &[("authorization", &shown)], body.clone()).await;
    assert_eq!(answer.body["result"]["offset"], 1, "{answer:?}");
    let rig = rig.restart(|config| config.api.key = None).await;
    for key in [KEY, ""] {
        let answer = rig.send("POST", "/api/publish", &[("x-api-key", key)], body.clone()).await;
        assert_eq!(answer.refusal(), (404, "not_found"));
    }
}

#[tokio::test]
async fn what_a_back_end_publishes_reaches_subscribers_and_stands_in_history() {
    let rig = Rig::start().await;
    let (mut alice, _) = Client::connect(&rig, "alice").await;
    alice.ask(json!({"id": 2, "subscribe": {"channel": "news"}})).await;
    let first = rig.back_end("publish", json!({"channel": "news", "data": {"n": 1}, "idempotency_key": "n-1"})).await;
    let first = first.unwrap();
    assert_eq!(first["offset"], 1);
    let again = rig.back_end("publish", json!({"channel": "news", "data": {"n": 1}, "idempotency_key": "n-1"})).await;
    assert_eq!(again.unwrap(), first, "asked for again, it is the same publication");
    let coded = json!({"channel": "news", "b64data": "eyJuIjoyfQ=="});
    assert_eq!(rig.back_end("publish", coded).await.unwrap()["offset"], 2);
    for n in [1, 2] {
        let push = alice.push("pub").await;
        assert_eq!(push["pub"], json!({"data": {"n": n}, "offset": n, "time": push["pub"]["time"]}), "nobody's info");
    }
    let page = rig.back_end("history", json!({"channel": "news", "limit": 10})).await.unwrap();
    assert_eq!(page["publications"], json!([{"offset": 1, "data": {"n": 1}}, {"offset": 2, "data": {"n": 2}}]));
    assert_eq!((&page["offset"], &page["epoch"]), (&json!(2), &first["epoch"]));
    let page = rig.back_end("history", json!({"channel": "news", "limit": 1, "reverse": true})).await.unwrap();
    assert_eq!(page["publications"], json!([{"offset": 2, "data": {"n": 2}}]));
    let since = json!({"channel": "news", "limit": -1, "since": {"offset": 1, "epoch": first["epoch"]}});
    assert_eq!(rig.back_end("history", since).await.unwrap()["publications"][0]["offset"], 2);
    let none = rig.back_end("history", json!({"channel": "news"})).await.unwrap();
    assert_eq!((&none["publications"], &none["offset"]), (&json!([]), &json!(2)));
    let lost = json!({"channel": "news", "limit": 1, "since": {"offset": 1, "epoch": "other"}});
    assert_eq!(rig.back_end("history", lost).await, Err(112));
    let rig = rig.restart(|_| ()).await;
    let page = rig.back_end("history", json!({"channel": "news", "limit": 10})).await.unwrap();
    assert_eq!(page["offset"], 2, "as durable as a client's");
}

#[tokio::test]
async fn in_a_room_a_back_end_speaks_as_a_member() {
    let rig = Rig::start().await;
    let room = room_of(&rig, &["bob"]).await;
    let channel = format!("room:{room}");
    let said = |user: &str| json!({"channel": channel, "data": {"body": "sold"}, "user": user, "idempotency_key": "s"});
    assert_eq!(rig.back_end("publish", json!({"channel": channel, "data": "sold"})).await, Err(107));
    assert_eq!(rig.back_end("publish", said("mallory")).await, Err(412));
    let empty = json!({"channel": channel, "data": "", "user": "bob"});
    assert_eq!(rig.back_end("publish", empty).await, Err(107), "it says nothing");
    let offset = rig.back_end("publish", said("bob")).await.unwrap()["offset"].clone();
    assert_eq!(rig.back_end("publish", said("bob")).await.unwrap()["offset"], offset);
    let page = rig.call("alice", "GET", &format!("/api/chats/{room}/messages"), Value::Null).await;
    let messages = page.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!((&messages[0]["sender"], &messages[0]["body"]), (&json!("bob"), &json!("sold")));
}

#[tokio::test]
async fn a_broadcast_answers_for_each_channel() {
    let rig = Rig::start().await;
    let asked = json!({"channels": ["a", "b", "#bob", "off:x", "a"], "data": 7});
    let done = rig.back_end("broadcast", asked).await.unwrap();
    let codes: Vec<_> = done["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|response| (response["result"]["offset"].as_u64(), response["error"]["code"].as_u64()))
        .collect();
    assert_eq!(codes, [(Some(1), None), (Some(1), None), (None, Some(108)), (None, Some(102)), (Some(2), None)]);
    let many: Vec<_> = (0..1_001).map(|n| format!("c{n}")).collect();
    assert_eq!(rig.back_end("broadcast", json!({"channels": many, "data": 1})).await, Err(106));
}

#[tokio::test]
async fn what_cannot_be_done_says_why_with_a_number() {
    let rig = Rig::start().await;
    for (method, body, code) in [
        ("publish", json!({"channel": "", "data": 1}), 107),
        ("publish", json!({"channel": "a\nb", "data": 1}), 107),
        ("publish", json!({"channel": "off:x", "data": 1}), 102),
        ("publish", json!({"channel": "#bob", "data": 1}), 108),
        ("publish", json!({"channel": "news"}), 107),
        ("publish", json!({"channel": "news", "b64data": "%%"}), 107),
        ("publish", json!({"channel": "news", "b64data": "/w=="}), 107),
        ("publish", json!({"channel": "news", "data": 1, "tags": {"a": "b"}}), 108),
        ("publish", json!({"channel": "news", "data": "x".repeat(40_000)}), 430),
        ("subscribe", json!({"user": "bob", "channel": "#alice"}), 103),
        ("subscribe", json!({"user": "bob", "channel": "off:x"}), 102),
        ("disconnect", json!({"user": "bob", "disconnect": {"code": 1000}}), 107),
        ("disconnect", json!({"user": "bob", "disconnect": {"code": 4000, "reason": "x".repeat(124)}}), 430),
        ("history_remove", json!({"channel": "news"}), 108),
        ("presence", json!({"channel": "off:x"}), 102),
    ] {
        assert_eq!(rig.back_end(method, body.clone()).await, Err(code), "{method} {body}");
    }
    // No call at all: a status of its own.
    for (body, status) in [(json!({"channel": 5}), 400), (json!([1]), 400), (json!(["news", 1]), 400)] {
        let answer = rig.send("POST", "/api/publish", &[("x-api-key", KEY)], body).await;
        assert_eq!(answer.refusal(), (status, "bad_request"));
    }
    let huge = json!({"channel": "news", "data": "x".repeat(5_000_000)});
    assert_eq!(rig.send("POST", "/api/publish", &[("x-api-key", KEY)], huge).await.refusal(), (413, "too_large"));
}

#[tokio::test]
async fn a_connection_is_subscribed_and_unsubscribed_from_outside() {
    let rig = Rig::start().await;
    let (mut bob, _) = Client::connect(&rig, "bob").await;
    rig.back_end("publish", json!({"channel": "news", "data": 1})).await.unwrap();
    let epoch = rig.back_end("publish", json!({"channel": "news", "data": 2})).await.unwrap()["epoch"].clone();
    let asked = json!({"user": "bob", "channel": "news", "data": {"for": "you"}, "info": {"role": "guest"},
        "recover_since": {"offset": 1, "epoch": epoch}});
    rig.back_end("subscribe", asked.clone()).await.unwrap();
    let begun = bob.push("subscribe").await;
    assert_eq!((&begun["channel"], &begun["subscribe"]["data"]), (&json!("news"), &json!({"for": "you"})));
    assert_eq!((&begun["subscribe"]["offset"], &begun["subscribe"]["recoverable"]), (&json!(1), &json!(true)));
    assert_eq!(bob.push("pub").await["pub"]["data"], 2, "what it missed");
    rig.back_end("publish", json!({"channel": "news", "data": 3})).await.unwrap();
    assert_eq!(bob.push("pub").await["pub"]["data"], 3, "and what comes");
    rig.back_end("subscribe", asked).await.unwrap();

    let present = rig.back_end("presence", json!({"channel": "news"})).await.unwrap();
    let (_, who) = present["presence"].as_object().unwrap().iter().next().unwrap();
    assert_eq!((&who["user"], &who["chan_info"]), (&json!("bob"), &json!({"role": "guest"})));
    let stats = rig.back_end("presence_stats", json!({"channel": "news"})).await.unwrap();
    assert_eq!(stats, json!({"num_clients": 1, "num_users": 1}), "subscribed once, however often it was asked for");
    let names = rig.back_end("channels", json!({"pattern": "n*s"})).await.unwrap();
    assert_eq!(names, json!({"channels": {"news": {"num_clients": 1}}}));
    let all = rig.back_end("channels", json!({})).await.unwrap();
    assert_eq!(all["channels"].as_object().unwrap().keys().collect::<Vec<_>>(), ["#bob", "news"]);
    let node = rig.back_end("info", json!({})).await.unwrap()["nodes"][0].clone();
    assert_eq!((&node["num_clients"], &node["num_channels"], &node["num_subs"]), (&json!(1), &json!(2), &json!(2)));

    rig.back_end("unsubscribe", json!({"user": "bob", "channel": "news"})).await.unwrap();
    assert_eq!(bob.push("unsubscribe").await["unsubscribe"]["code"], 2000);
    let names = rig.back_end("channels", json!({"pattern": "news"})).await.unwrap();
    assert_eq!(names, json!({"channels": {}}));
}

#[tokio::test]
async fn who_is_no_member_is_not_subscribed_to_a_room_by_anybody() {
    let rig = Rig::start().await;
    let room = room_of(&rig, &["bob"]).await;
    let channel = format!("room:{room}");
    let (mut mallory, _) = Client::connect(&rig, "mallory").await;
    rig.back_end("subscribe", json!({"user": "mallory", "channel": channel})).await.unwrap();
    rig.back_end("publish", json!({"channel": channel, "data": "secret", "user": "bob"})).await.unwrap();
    rig.back_end("subscribe", json!({"user": "mallory", "channel": "news"})).await.unwrap();
    let next = mallory.next().await.unwrap();
    assert_eq!(next["push"]["channel"], "news", "nothing of the room came before: {next}");
}

#[tokio::test]
async fn connections_are_closed_with_the_code_and_reason_asked_for() {
    let rig = Rig::start().await;
    let (one, _) = Client::connect(&rig, "bob").await;
    let (mut two, reply) = Client::connect(&rig, "bob").await;
    let spared = reply["connect"]["client"].clone();
    let asked = json!({"user": "bob", "whitelist": [spared], "disconnect": {"code": 4501, "reason": "moved house"}});
    rig.back_end("disconnect", asked).await.unwrap();
    assert_eq!(one.closed().await, (4501, "moved house".to_owned()));
    assert!(two.ask(json!({"id": 2, "ping": {}})).await["error"].is_null(), "spared");
    rig.back_end("disconnect", json!({"user": "bob", "client": uuid::Uuid::nil()})).await.unwrap();
    rig.back_end("disconnect", json!({"user": "bob", "client": spared})).await.unwrap();
    assert_eq!(two.closed().await, (3503, "force disconnect".to_owned()));
    rig.back_end("disconnect", json!({"user": "nobody"})).await.unwrap();
}

#[tokio::test]
async fn a_connection_expires_when_a_back_end_says_so() {
    let rig = Rig::start().await;
    let (one, _) = Client::connect(&rig, "bob").await;
    rig.back_end("refresh", json!({"user": "bob", "expired": true})).await.unwrap();
    assert_eq!(one.closed().await.0, 3005);
    let (two, _) = Client::connect(&rig, "bob").await;
    rig.back_end("refresh", json!({"user": "bob", "expire_at": 4_000_000_000_u64})).await.unwrap();
    rig.back_end("refresh", json!({"user": "bob", "expire_at": 1_000_000_000})).await.unwrap();
    assert_eq!(two.closed().await.0, 3005, "that time is over");
}

#[tokio::test]
async fn a_batch_answers_each_call_in_its_place() {
    let rig = Rig::start().await;
    let commands = json!([
        {"publish": {"channel": "news", "data": {"n": 1}}},
        {"publish": {"channel": "off:x", "data": 1}},
        {"history": {"channel": "news", "limit": 5}},
        {"presence_stats": {"channel": "news"}},
    ]);
    for parallel in [false, true] {
        let asked = json!({"commands": commands, "parallel": parallel});
        let answer = rig.send("POST", "/api/batch", &[("x-api-key", KEY)], asked).await;
        let replies = answer.body["replies"].as_array().unwrap();
        assert!(replies[0]["publish"]["offset"].is_u64(), "{answer:?}");
        assert_eq!(replies[1]["error"]["code"], 102);
        assert_eq!(replies[3]["presence_stats"], json!({"num_clients": 0, "num_users": 0}));
        if !parallel {
            assert_eq!(replies[2]["history"]["publications"][0]["data"]["n"], 1, "one after the other");
        }
    }
    for bad in [json!({"commands": {}}), json!([[]]), json!({"commands": 1})] {
        let answer = rig.send("POST", "/api/batch", &[("x-api-key", KEY)], bad).await;
        assert_eq!(answer.refusal(), (400, "bad_request"));
    }
}

/// Calls that can't be carried out, with the number of their error: each is tried in a batch and as a line.
fn bad_calls() -> Vec<(&'static str, Value, u64)> {
    vec![
        ("dance", json!({}), 104),
        ("publish", json!({"data": 1}), 107),
        ("publish", json!({"channel": "bad", "data": 1, "idempotency_key": "x".repeat(65)}), 107),
        ("publish", json!({"channel": 5, "data": 1}), 107),
        ("publish", json!(["bad", 1]), 107),
        ("broadcast", json!({"channels": "bad", "data": 1}), 107),
        ("history", json!({"channel": "bad", "since": [1, ""]}), 107),
        ("disconnect", json!({"disconnect": {"code": 4000}}), 107),
        ("disconnect", json!({"user": "bob", "disconnect": [4000]}), 107),
    ]
}

#[tokio::test]
async fn a_bad_call_among_others_is_an_error_in_its_place_and_the_others_are_done() {
    let rig = Rig::start().await;
    for (at, (name, params, code)) in bad_calls().into_iter().enumerate() {
        let good = |n: usize| json!({"channel": format!("good-{at}"), "data": n});
        for parallel in [false, true] {
            let commands = json!([{"publish": good(1)}, {name: params.clone()}, {"publish": good(2)}]);
            let asked = json!({"commands": commands, "parallel": parallel});
            let answer = rig.send("POST", "/api/batch", &[("x-api-key", KEY)], asked).await;
            let replies = &answer.body["replies"];
            assert_eq!(replies[1]["error"]["code"], code, "{name} {params}: {answer:?}");
            assert!(replies[0]["publish"]["offset"].is_u64() && replies[2]["publish"]["offset"].is_u64());
        }
    }
    let odd = json!({"commands": [null, 5, {}, {"publish": null}, {"info": {}, "channels": {}}, {"info": {}}]});
    let answer = rig.send("POST", "/api/batch", &[("x-api-key", KEY)], odd).await;
    let codes = answer.body["replies"].as_array().unwrap().iter().map(|reply| reply["error"]["code"].as_u64());
    assert_eq!(codes.collect::<Vec<_>>(), [Some(107), Some(107), Some(104), Some(104), Some(107), None]);
}

#[tokio::test]
async fn calls_by_name_are_answered_a_line_each() {
    let rig = Rig::start().await;
    let ask =
        async |body: String| rig.raw("POST", "/api", &[("authorization", &format!("apikey {KEY}"))], body.into()).await;
    let one = ask(json!({"method": "publish", "params": {"channel": "a", "data": 1}}).to_string()).await;
    assert_eq!(one.body["result"]["offset"], 1, "{one:?}");
    let mut body = json!({"id": 7, "method": "PUBLISH", "params": {"channel": "a", "data": null}}).to_string();
    let mut expected = vec![];
    for (name, params, code) in bad_calls() {
        body += &format!("\n{}", json!({"method": name, "params": params}));
        expected.push(code);
    }
    body += &json!({"method": "history", "params": {"channel": "a", "limit": 5}}).to_string();
    body += " \n{\"method\":\"info\"}\n\n";
    let answer = ask(body).await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    let text = String::from_utf8(answer.bytes).unwrap();
    let lines: Vec<Value> = text.split('\n').map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["id"], &lines[0]["result"]["offset"]), (&json!(7), &json!(2)));
    let codes: Vec<_> = lines[1..=expected.len()].iter().map(|line| line["error"]["code"].as_u64().unwrap()).collect();
    assert_eq!(codes, expected);
    let page = &lines[expected.len() + 1]["result"];
    assert_eq!(page["publications"], json!([{"offset": 1, "data": 1}, {"offset": 2, "data": null}]));
    assert!(lines[expected.len() + 2]["result"]["nodes"].is_array() && lines.len() == expected.len() + 3);
    for bad in ["", "nonsense", "[1]", "5", "null", "{\"method\":\"info\"}{"] {
        assert_eq!(ask(bad.to_owned()).await.refusal(), (400, "bad_request"), "{bad}");
    }
    assert_eq!(ask("{}".repeat(1_001)).await.refusal(), (400, "limit_exceeded"));
    let stranger = rig.raw("POST", "/api", &[], b"{}".to_vec()).await;
    assert_eq!(stranger.refusal(), (401, "unauthorized"));
}

#[tokio::test]
async fn a_field_with_its_default_or_with_null_is_as_if_it_were_not_there() {
    let rig = Rig::start().await;
    for (method, defaults) in [
        ("publish", json!({"idempotency_key": "", "user": "", "b64data": "", "tags": {}})),
        ("broadcast", json!({"idempotency_key": "", "user": "", "b64data": "", "tags": {}})),
        ("subscribe", json!({"client": "", "b64data": "", "b64info": "", "info": null, "recover_since": null})),
        ("unsubscribe", json!({"client": ""})),
        ("disconnect", json!({"client": "", "whitelist": [], "disconnect": {"code": 0, "reason": ""}})),
        ("refresh", json!({"client": "", "expired": false, "expire_at": 0})),
        ("presence", json!({})),
        ("presence_stats", json!({})),
        ("history", json!({"limit": 0, "reverse": false, "since": null})),
        ("info", json!({})),
        ("channels", json!({"pattern": ""})),
    ] {
        let asked = json!({"channel": "a", "channels": ["a"], "user": "bob", "data": 1});
        let defaults = defaults.as_object().unwrap();
        let nulls = defaults.keys().map(|field| (field.clone(), Value::Null)).collect();
        for more in [defaults.clone(), nulls] {
            let mut with = asked.clone();
            with.as_object_mut().unwrap().extend(more);
            assert!(rig.back_end(method, with.clone()).await.is_ok(), "{method} {with}");
        }
    }
    let nested = json!({"channel": "a", "limit": 9, "since": {"offset": null, "epoch": null}});
    assert!(rig.back_end("history", nested).await.is_ok());
    for (method, bare) in [
        ("publish", json!({"channel": "", "data": 1})),
        ("publish", json!({"channel": null, "data": 1})),
        ("publish", json!({"data": 1})),
        ("unsubscribe", json!({"channel": "a", "user": ""})),
        ("unsubscribe", json!({"channel": "a", "user": null})),
        ("unsubscribe", json!({"channel": "a"})),
    ] {
        assert_eq!(rig.back_end(method, bare.clone()).await, Err(107), "{method} {bare}");
    }
}

#[tokio::test]
async fn null_is_data_like_any_other() {
    let rig = Rig::start().await;
    let (mut bob, _) = Client::connect(&rig, "bob").await;
    bob.ask(json!({"id": 2, "subscribe": {"channel": "news"}})).await;
    rig.back_end("publish", json!({"channel": "news", "data": null})).await.unwrap();
    assert_eq!(bob.push("pub").await["pub"].get("data"), Some(&Value::Null));
    rig.back_end("broadcast", json!({"channels": ["news"], "data": null})).await.unwrap();
    rig.back_end("publish", json!({"channel": "news", "b64data": "bnVsbA=="})).await.unwrap();
    bob.ask(json!({"id": 3, "publish": {"channel": "news", "data": null}})).await;
    let page = rig.back_end("history", json!({"channel": "news", "limit": 9})).await.unwrap();
    let data: Vec<_> = page["publications"].as_array().unwrap().iter().map(|said| &said["data"]).collect();
    assert_eq!(data, [&Value::Null; 4]);
}

#[tokio::test]
async fn what_the_reference_answers_to_odd_questions_is_answered() {
    let rig = Rig::with(|config| {
        let quiet = Namespace { namespace: "quiet".to_owned(), presence: false, ..Namespace::default() };
        config.channels = vec![Namespace::default(), quiet];
    })
    .await;
    let (mut bob, _) = Client::connect(&rig, "bob").await;
    for method in ["subscribe", "unsubscribe", "disconnect", "refresh"] {
        let nobody = json!({"user": "bob", "channel": "a", "client": "client"});
        assert_eq!(rig.back_end(method, nobody).await, Ok(json!({})), "a client that is no uuid is one that has gone");
    }
    assert!(bob.ask(json!({"id": 2, "ping": {}})).await["error"].is_null(), "spared");
    for method in ["presence", "presence_stats"] {
        assert_eq!(rig.back_end(method, json!({"channel": "quiet:a"})).await, Err(108), "it does not know");
    }
}

#[tokio::test]
async fn code_3000_ends_a_connection_without_a_word() {
    let rig = Rig::start().await;
    let (mut bob, _) = Client::connect(&rig, "bob").await;
    rig.back_end("disconnect", json!({"user": "bob", "disconnect": {"code": 3000}})).await.unwrap();
    let end = within("its end", bob.0.next()).await;
    assert!(end.is_none_or(|end| end.is_err()), "no close frame");
}
