//! Rooms, their members and messages, and users.

use serde_json::json;

use super::support::{Rig, texts};
use crate::ids::UserId;
use crate::testing::{found, until};

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_their_members_are_paged() {
    let rig = Rig::start().await;
    let mut rooms = Vec::new();
    for _ in 0..7 {
        rooms.push(rig.group(&["ann", "bob", "cid"]).await);
    }
    rooms.sort();
    rig.settle().await;
    assert_eq!(texts(&rig.all("/admin/rooms?", 3).await, "id"), rooms);
    let one = rig.ok(&format!("/admin/rooms/{}", rooms[0])).await;
    assert_eq!((&one["title"], &one["kind"], &one["resident"]), (&json!("team"), &json!("group"), &json!(true)));
    assert_eq!(texts(one["members"]["items"].as_array().unwrap(), "state"), ["member", "member", "member"]);
    rig.connect("bob");
    let members = rig.all(&format!("/admin/rooms/{}/members?", rooms[0]), 2).await;
    assert_eq!(texts(&members, "user"), ["ann", "bob", "cid"]);
    assert_eq!((&members[0]["online"], &members[1]["online"]), (&json!(false), &json!(true)));
    assert_eq!(rig.get("/admin/rooms/00000000-0000-0000-0000-000000000001").await.0, 404);
    assert_eq!(rig.get("/admin/rooms/x").await.0, 404);
    assert_eq!(rig.get("/admin/rooms?after=x").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_shown_without_what_they_say_unless_asked_for_and_that_is_noted() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann"]).await;
    for n in 0..5 {
        let data = json!({ "room": room, "body": format!("hidden {n}"), "metadata": { "colour": "blue" } });
        rig.call("ann", "message.send", data).await;
    }
    rig.settle().await;
    let path = format!("/admin/rooms/{room}/messages");
    let page = rig.ok(&format!("{path}?limit=2")).await;
    let seqs: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!((seqs, &page["next"]), (vec![6, 5], &json!("5")));
    assert_eq!(page["items"][0]["body_bytes"], 8);
    assert!(!page.to_string().contains("hidden") && !page.to_string().contains("blue"), "{page}");
    assert_eq!(rig.ok("/admin/audit").await["items"], json!([]));
    let page = rig.ok(&format!("{path}?before=5&bodies=true")).await;
    assert_eq!(texts(page["items"].as_array().unwrap(), "body"), ["hidden 2", "hidden 1", "hidden 0"]);
    assert_eq!(page["items"][0]["metadata"]["colour"], "blue");
    let audit = rig.ok("/admin/audit").await;
    assert_eq!((&audit["items"][0]["what"], &audit["items"][0]["target"]), (&json!("room.bodies"), &json!(room)));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_with_where_they_are() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann", "bob"]).await;
    rig.call("ann", "user.device", json!({ "device": "phone", "platform": "ios", "push_token": "hidden" })).await;
    rig.settle().await;
    let connection = rig.connect("ann");
    // That bob is invited reaches him by the relay: a record of its own, which is stored in its turn.
    let two = async || rig.ok("/admin/users").await["items"].as_array().unwrap().len() == 2;
    until("bob is told", two).await;
    assert_eq!(texts(&rig.all("/admin/users?", 1).await, "id"), ["ann", "bob"]);
    let ann = rig.ok("/admin/users/ann").await;
    assert_eq!((&ann["sessions"], &ann["room_count"]), (&json!(1), &json!(1)));
    assert_eq!(ann["rooms"][0]["room"], room);
    assert_eq!(ann["connections"][0]["client"], connection.client.to_string());
    assert!(!ann.to_string().contains("hidden"), "push tokens are nobody's matter: {ann}");
    assert_eq!(rig.get("/admin/users/nobody").await.0, 404);
    // Signed out everywhere, a user is pushed nothing any more: the devices are forgotten.
    assert_eq!(ann["devices"][0]["device"], "phone");
    rig.post("/admin/users/ann/sign-out", "").await;
    let forgotten = async || rig.ok("/admin/users/ann").await["devices"] == json!([]);
    until("the devices are forgotten", forgotten).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_user_is_sent_away_until_the_ban_is_taken_back() {
    let rig = Rig::start().await;
    rig.connect("ann");
    assert_eq!(rig.post("/admin/users/ann/ban", "").await, (200, json!({ "closed": 1 })));
    // A slip of the fingers bans nobody and makes nobody; whom only a back end knows is banned by force.
    for act in ["ban", "unban", "sign-out"] {
        assert_eq!(rig.post(&format!("/admin/users/nobody%20yet/{act}"), "").await.0, 404);
    }
    assert_eq!(rig.get("/admin/users/nobody%20yet").await.0, 404);
    let forced = rig.post("/admin/users/nobody%20yet/ban", r#"{"force":true}"#).await;
    assert_eq!(forced, (200, json!({ "closed": 0 })));
    let banned = async || {
        let users = rig.all("/admin/users?", 10).await;
        let users = users.iter().filter(|user| user["banned"] == true);
        users.map(|user| user["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(banned().await, ["ann", "nobody yet"]);
    assert_eq!(rig.post("/admin/users/ann/unban", "").await, (200, json!({ "closed": 0 })));
    assert_eq!(banned().await, ["nobody yet"]);
    assert_eq!(rig.ok("/admin/users/ann").await["banned"], false);
    let audit = rig.ok("/admin/audit").await;
    assert_eq!(texts(audit["items"].as_array().unwrap(), "what"), ["user.unban", "user.ban", "user.ban"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_signs_a_user_out() {
    let rig = Rig::start().await;
    rig.connect("ann");
    assert_eq!(rig.post("/admin/users/ann/sign-out", "").await, (200, json!({ "closed": 1 })));
    let audit = rig.ok("/admin/audit").await;
    assert_eq!(texts(audit["items"].as_array().unwrap(), "what"), ["user.sign_out"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_of_a_message_is_told_stage_by_stage_without_what_it_says() {
    let rig = Rig::with(&[("KERVAN_ADMIN__TRACE_EVERY", "0")]).await;
    let (room, other) = (rig.group(&["ann"]).await, rig.group(&["ann"]).await);
    let path = format!("/admin/traces?room={room}");
    assert_eq!(rig.ok(&path).await, json!({ "every": 0, "items": [] }));
    let wish = json!({ "room": room, "messages": 2 }).to_string();
    assert_eq!(rig.post("/admin/traces", &wish).await.0, 204);
    for n in 0..4 {
        for room in [&room, &other] {
            rig.call("ann", "message.send", json!({ "room": room, "body": format!("hidden {n}") })).await;
        }
    }
    // A trail ends a moment after the answer.
    let both = found("both trails have ended", async || {
        let all = rig.ok(&path).await;
        (all["items"].as_array().unwrap().len() == 2).then_some(all)
    })
    .await;
    let items = both["items"].as_array().unwrap();
    assert_eq!(rig.ok("/admin/traces").await["items"].as_array().unwrap().len(), 2, "nobody else was followed");
    let seqs: Vec<_> = items.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [3, 2]);
    for item in items {
        assert_eq!((&item["kind"], &item["outcome"]), (&json!("room.send"), &json!("accepted")));
        let spans = item["spans"].as_array().unwrap();
        let way = ["received", "appended", "verified", "folded", "acknowledged", "delivered"];
        assert_eq!(texts(spans, "name"), way);
        assert!(spans.is_sorted_by_key(|span| span["us"].as_u64()), "{spans:?}");
        assert!(item["offset"].is_u64());
    }
    assert!(!both.to_string().contains("hidden"));
    assert_eq!(rig.ok("/admin/audit").await["items"][0]["what"], "traces.follow");
    for wish in
        [json!({ "room": room, "messages": 0 }), json!({ "room": "x", "messages": 1 }), json!({ "messages": 1 })]
    {
        assert_eq!(rig.post("/admin/traces", &wish.to_string()).await.0, 400, "{wish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_users_are_found_by_what_people_call_them() {
    let rig = Rig::start().await;
    for title in ["Team 15", "Team 16", "Plans"] {
        rig.call("ann", "room.create", json!({ "kind": "group", "members": ["bob"], "title": title })).await;
    }
    rig.engine.accounts().provide(&UserId::new("ann").unwrap(), "Ann Onym").await.unwrap();
    rig.settle().await;
    let titles = async |text: &str| {
        let mut found = texts(&rig.all(&format!("/admin/rooms?text={text}&"), 1).await, "title");
        found.sort();
        found
    };
    assert_eq!(titles("team").await, ["Team 15", "Team 16"]);
    assert_eq!(titles("eam%2016").await, ["Team 16"]);
    assert_eq!(titles("nothing").await, [""; 0]);
    let known = async || rig.ok("/admin/users?text=ann").await["items"].as_array().unwrap().clone();
    let ann = found("ann has a row", async || known().await.into_iter().next()).await;
    assert_eq!((&ann["id"], &ann["name"]), (&json!("ann"), &json!("Ann Onym")));
    let two = async || rig.ok("/admin/users?text=b").await["items"].as_array().unwrap().len() == 1;
    until("bob has a row", two).await;
    let actors = rig.ok("/admin/actors?kind=room&text=room").await;
    let mut names = texts(actors["items"].as_array().unwrap(), "name");
    names.sort();
    assert_eq!(names, ["Plans", "Team 15", "Team 16"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_found_by_name_and_by_id_are_paged_without_a_gap() {
    let rig = Rig::start().await;
    rig.call("ann", "room.create", json!({ "kind": "group", "members": ["bob", "joanna"], "title": "Team" })).await;
    for (user, name) in [("ann", "Ann Onym"), ("bob", "Ann Other")] {
        rig.engine.accounts().provide(&UserId::new(user).unwrap(), name).await.unwrap();
    }
    rig.settle().await;
    let everybody = async || rig.ok("/admin/users").await["items"].as_array().unwrap().len() == 3;
    until("all three have rows", everybody).await;
    for limit in 1..=4 {
        let mut ids = texts(&rig.all("/admin/users?text=ann&", limit).await, "id");
        ids.sort();
        assert_eq!(ids, ["ann", "bob", "joanna"], "by {limit}");
    }
}
