//! Whatever a client may ask for is paid for.

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Fixture, caller, room_of, user};
use crate::actors::gateway::hub::Rate;
use crate::actors::wire::HistoryBound;
use crate::api::operations::admission::{Cost, Payer, Rates};
use crate::api::operations::{Caller, Handlers, Method};
use crate::config::Limits;
use crate::ids::{Partition, RoomId, UserId};
use crate::storage::journal::Journal as _;

const TOO_MANY: u32 = 111;

/// Enough for a test to make what it needs.
fn wide() -> Rates {
    let rate = Rate { per_minute: 60, burst: 1_000 };
    Rates { messages: rate, changes: rate, questions: rate, ..Rates::from(&Limits::default()) }
}

/// Uses up what this payer has.
fn empty(f: &Fixture, payer: &Payer) {
    for cost in [Cost::Message, Cost::CHANGE, Cost::QUESTION] {
        for _ in 0..2_000 {
            f.handlers.admission().charge(payer, cost);
        }
    }
}

/// Arguments with which a method would do something. A new method does not compile before it is said here.
fn arguments(method: Method, room: &str) -> Value {
    let in_room = || json!({ "room": room });
    match method {
        Method::MessageSend => json!({ "room": room, "body": "x" }),
        Method::MessageEdit => json!({ "room": room, "target": 2, "body": "x" }),
        Method::MessageDelete => json!({ "room": room, "target": 2 }),
        Method::MessageReact => json!({ "room": room, "target": 2, "emoji": "👍" }),
        Method::MessageDelivered | Method::ReadMark => json!({ "room": room, "seq": 2 }),
        Method::RoomCreate => json!({ "kind": "group", "members": ["bob"] }),
        Method::RoomUpdate => json!({ "room": room, "title": "t" }),
        Method::RoomInvite => json!({ "room": room, "user": "cat" }),
        Method::RoomKick => json!({ "room": room, "user": "bob" }),
        Method::MessageHistory
        | Method::RoomGet
        | Method::RoomJoin
        | Method::RoomLeave
        | Method::RoomEnd
        | Method::RoomUninvite
        | Method::RoomMembers
        | Method::RoomMute
        | Method::RoomUnmute
        | Method::Typing => in_room(),
        Method::RoomList | Method::UserMutes => json!({}),
        Method::PresenceGet => json!({ "users": ["bob"] }),
        Method::UserBlock | Method::UserUnblock => json!({ "user": "bob" }),
        Method::UserDevice => json!({ "device": "phone" }),
        Method::NotificationRead => json!({ "all": true }),
        Method::UserPreferences => json!({ "preferences": { "a": 1 } }),
    }
}

#[tokio::test]
async fn no_method_does_anything_for_who_has_used_up_his_share() {
    let f = Fixture::with_rates(wide()).await;
    let room = f.group(&["ann", "bob"]).await;
    f.say("ann", &room, "hello").await;
    f.settle().await;
    let ends = || Partition::all().map(|partition| f.journal.bounds(partition).end).collect::<Vec<_>>();
    let before = ends();
    empty(&f, &Payer::User(user("ann")));
    for method in Method::ALL {
        let data = arguments(*method, &room).to_string();
        let error = Handlers::call(&f.handlers, &caller("ann"), method.name(), data.as_bytes())
            .await
            .unwrap_err()
            .to_protocol();
        assert_eq!((error.code, error.temporary), (TOO_MANY, true), "{}", method.name());
        assert!(error.message.ends_with(" ms"), "{}: {}", method.name(), error.message);
    }
    assert_eq!(ends(), before, "and nothing is written");
    f.say("bob", &room, "others go on").await;
    f.clock.advance(24 * 60 * 60 * 1_000);
    f.say("ann", &room, "and so does he, later").await;
}

#[tokio::test]
async fn what_is_done_in_a_user_s_name_neither_pays_nor_waits_for_what_the_user_is_ahead_with() {
    let f = Fixture::new().await;
    let strangers: Vec<String> = (1..1_000).map(|n| format!("u{n}")).collect();
    f.store.shut().await;
    let room = room_of(&f.ok("ann", "room.create", json!({ "kind": "group", "members": strangers })).await);
    assert_eq!(f.code("ann", "room.end", json!({ "room": room })).await, 450, "ann is as far ahead as may be");
    let operator = Caller::in_the_name_of(user("ann"));
    f.handlers.run(&operator, Method::RoomEnd, json!({ "room": room }).to_string().as_bytes()).await.unwrap();
}

#[tokio::test]
async fn what_a_session_prepares_by_itself_is_paid_for_too() {
    let f = Fixture::with_rates(wide()).await;
    let room = f.group(&["ann", "bob"]).await;
    let id = RoomId(room.parse().unwrap());
    let named = Caller::new(user("ann"));
    let network = |n: u8| Some(std::net::IpAddr::from([198, 51, 100, n]));
    let nobody = |n: u128, network| {
        let user = UserId::anonymous(Uuid::from_u128(n));
        Caller { payer: Payer::of(&user, network), user, device: None }
    };
    let publish = |caller: &Caller| {
        let (data, history) = (Bytes::from_static(b"1"), HistoryBound::default());
        let publish = f.handlers.prepare_open_publish(caller, "news", history, data, None);
        publish.map(drop).map_err(|error| error.to_protocol().code)
    };
    assert!(publish(&named).is_ok() && publish(&nobody(1, network(1))).is_ok());
    empty(&f, &named.payer);
    empty(&f, &nobody(1, network(1)).payer);
    let send = json!({ "room": room, "body": "x" }).to_string();
    let refused = [
        f.handlers.prepare_send(&named, send.as_bytes()).map(drop),
        f.handlers.prepare_publish(&named, id, b"\"x\"", None).map(drop),
        f.handlers.admit(&named, Cost::QUESTION),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().to_protocol().code, TOO_MANY);
    }
    assert_eq!(publish(&named), Err(TOO_MANY));
    assert_eq!(publish(&nobody(2, network(1))), Err(TOO_MANY), "a new connection is no new share");
    assert!(publish(&nobody(3, network(2))).is_ok(), "another network is");
    let back_end = Caller::in_the_name_of(user("ann"));
    let said = f.handlers.prepare_publish(&back_end, id, b"\"x\"", None);
    assert!(said.is_ok(), "a back end does not pay for whom it speaks");
}

#[tokio::test]
async fn asking_about_the_rooms_of_others_is_dear() {
    let f = Fixture::with_rates(Rates::from(&Limits::default())).await;
    let mut asked = 0;
    let refused = loop {
        let data = json!({ "room": Uuid::from_u128(asked) }).to_string();
        let error = Handlers::call(&f.handlers, &caller("mallory"), "room.get", data.as_bytes())
            .await
            .unwrap_err()
            .to_protocol();
        if error.code != 412 {
            break error;
        }
        asked += 1;
    };
    assert_eq!(refused.code, TOO_MANY);
    assert!((40..=60).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_large_group_is_made_and_then_paid_for() {
    let f = Fixture::with_rates(Rates::from(&Limits::default())).await;
    let members: Vec<String> = (0..900).map(|n| format!("u{n}")).collect();
    let create = json!({ "kind": "group", "members": members, "client_id": "large" });
    let made = f.ok("ann", "room.create", create.clone()).await;
    let again =
        Handlers::call(&f.handlers, &caller("ann"), "room.create", create.to_string().as_bytes()).await.unwrap_err();
    let error = again.to_protocol();
    let wait = crate::api::protocol::codes::retry_after_ms(&error).unwrap();
    assert!(error.code == TOO_MANY && wait > 30_000, "{error:?}");
    f.say("ann", made["room"].as_str().unwrap(), "messages have an account of their own").await;
    f.clock.advance(wait);
    let again = f.ok("ann", "room.create", create).await;
    assert_eq!(
        (&again["room"], &again["existing"]),
        (&made["room"], &json!(true)),
        "what was refused can be sent again"
    );
}
