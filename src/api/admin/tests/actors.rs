//! The tree: what it shows, how it is filtered and paged, and what can be done with it.

use serde_json::json;

use super::support::{KEY, Rig, path_of, texts};
use crate::actors::gateway::order::Order;
use crate::actors::wire::{Entity, Query, QueryAnswer};
use crate::ids::{Partition, RoomId, UserId};
use crate::testing::{found, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_shows_everybody_once_whatever_the_pages() {
    let rig = Rig::start().await;
    let mut rooms = Vec::new();
    for n in 0..30 {
        rooms.push(path_of(&rig.group(&["ann", &format!("user{n}")]).await));
    }
    let found = texts(&rig.all("/admin/actors?kind=room&", 7).await, "path");
    let mut expected = rooms.clone();
    expected.sort_by_key(|path| path.split(':').nth(1).unwrap().to_owned());
    assert_eq!(found, expected);
    assert_eq!(rig.ok("/admin/actors?kind=room&limit=1").await["total"], 30);
    let partitions = rig.all("/admin/actors?parent=partitions&", 100).await;
    assert_eq!(partitions.len(), 256);
    assert!(partitions.iter().all(|row| row["kind"] == "partition" && row["state"] == "running"));
    let top = texts(&rig.all("/admin/actors?", 2).await, "path");
    assert_eq!(top, ["hub", "partitions", "sessions", "workers"]);
    let workers = texts(&rig.all("/admin/actors?parent=workers&", 10).await, "path");
    assert_eq!(workers, ["workers/projector", "workers/relay", "workers/expiry"]);
    let here = rooms[0].rsplit_once('/').unwrap().0;
    let children = texts(&rig.all(&format!("/admin/actors?parent={here}&"), 3).await, "path");
    assert!(children.contains(&rooms[0]), "{children:?}");
    let id = rooms[0].split(':').nth(1).unwrap();
    assert_eq!(texts(&rig.all(&format!("/admin/actors?text={id}&"), 10).await, "path"), [rooms[0].clone()]);
    assert_eq!(rig.ok("/admin/actors?state=halted").await["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_by_numbers_goes_downwards_and_its_pages_have_no_holes() {
    let rig = Rig::start().await;
    let mut expected = Vec::new();
    for n in 0..6_u64 {
        let room = rig.group(&["ann"]).await;
        for _ in 0..n {
            rig.call("ann", "message.send", json!({ "room": room, "body": "x" })).await;
        }
        expected.insert(0, path_of(&room));
    }
    rig.settle().await;
    let rows = rig.all("/admin/actors?kind=room&sort=handled&", 2).await;
    assert_eq!(texts(&rows, "path"), expected);
    assert!(rows[0]["handled"].as_u64() > rows[5]["handled"].as_u64());
    assert!(rows.iter().all(|row| row["depth"] == 0 && row["restarts"] == 0), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_actor_tells_what_it_holds() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann", "bob"]).await;
    rig.call("ann", "message.send", json!({ "room": room, "body": "hidden words" })).await;
    let detail = rig.ok(&format!("/admin/actors/{}", path_of(&room))).await;
    assert_eq!(detail["actor"]["kind"], "room");
    assert_eq!(detail["summary"]["members"], 2);
    assert_eq!(detail["summary"]["messages"], 1);
    assert_eq!(detail["summary"]["kind"], "group");
    assert!(!detail.to_string().contains("hidden"));
    let id = UserId::new("bob/é ?").unwrap();
    let answer = rig.engine.node().router().query(Entity::User(id.clone()), Query::Position).await;
    assert!(matches!(answer, QueryAnswer::Position { .. }), "{answer:?}");
    let path = format!("/admin/actors/partitions/{}/user:bob%2F%C3%A9%20%3F", id.partition());
    assert_eq!(rig.ok(&path).await["summary"]["rooms"], 0);
    let partition = rig.ok("/admin/actors/partitions/9").await;
    assert_eq!(partition["summary"], rig.ok("/admin/partitions/9").await);
    assert_eq!(rig.ok("/admin/actors/hub").await["summary"]["sessions"], 0);
    for path in ["partitions/300", "nobody", "partitions/1/room:1", "sessions/0"] {
        assert_eq!(rig.get(&format!("/admin/actors/{path}")).await.0, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_room_goes_on_where_it_was_and_the_act_is_noted() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann"]).await;
    let path = path_of(&room);
    rig.call("ann", "message.send", json!({ "room": room, "body": "one" })).await;
    assert_eq!(rig.post(&format!("/admin/actors/{path}/restart"), "").await.0, 204);
    let sent = rig.call("ann", "message.send", json!({ "room": room, "body": "two" })).await;
    assert_eq!(sent["seq"], 3, "the room's making, one, two");
    assert_eq!(rig.ok(&format!("/admin/actors/{path}")).await["actor"]["restarts"], 1);
    let audit = rig.ok("/admin/audit").await;
    let line = &audit["items"][0];
    assert_eq!((&line["what"], &line["target"]), (&json!("actor.restart"), &json!(path)));
    assert_eq!((&line["who"], &line["outcome"]), (&json!("loopback"), &json!("done")));
    assert!(line["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    let file = std::fs::read_to_string(rig.dir.path().join("audit.jsonl")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&file).unwrap(), *line);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_partition_and_restarted_workers_lose_nothing() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann"]).await;
    let partition = RoomId(room.parse().unwrap()).partition();
    rig.settle().await;
    assert_eq!(rig.post(&format!("/admin/actors/partitions/{partition}/restart"), "").await.0, 204);
    assert_eq!(rig.post("/admin/actors/workers/restart", "").await.0, 204);
    // A command may meet the partition while it is away: it is told to come back.
    let caller = crate::api::operations::Caller::new(UserId::new("ann").unwrap());
    let data = json!({ "room": room, "body": "x", "client_id": "one" }).to_string();
    let sent = found("the partition is back", async || {
        let reply = rig.handlers.call(&caller, "message.send", data.as_bytes()).await.ok()?;
        Some(serde_json::from_slice::<serde_json::Value>(&reply).unwrap())
    })
    .await;
    assert_eq!(sent["seq"], 2);
    rig.settle().await;
    until("the partition has begun anew", async || {
        rig.ok(&format!("/admin/partitions/{partition}")).await["restarts"] == 1
    })
    .await;
    // They end in order before they begin again.
    until("the workers have begun anew", async || rig.ok("/admin/actors/workers").await["actor"]["restarts"] == 1)
        .await;
    assert_eq!(rig.ok("/admin/overview").await["actor_restarts"], 0, "no alarm for what an operator wants");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_let_go_when_the_store_has_all_of_it() {
    let rig = Rig::start().await;
    let path = path_of(&rig.group(&["ann"]).await);
    rig.settle().await;
    assert_eq!(rig.post(&format!("/admin/actors/{path}/passivate"), "").await.0, 204);
    assert_eq!(rig.get(&format!("/admin/actors/{path}")).await.0, 404);
    assert_eq!(rig.post(&format!("/admin/actors/{path}/stop"), "").await.0, 404);
    assert_eq!(rig.ok("/admin/actors?kind=room").await["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_refused_and_noted() {
    let rig = Rig::start().await;
    for path in ["node", "hub", "sessions", "workers/relay", "partitions/3"] {
        let (status, error) = rig.post(&format!("/admin/actors/{path}/stop"), "").await;
        assert_eq!((status, &error["error"]["code"]), (409, &json!("not_possible")), "{path}");
    }
    assert_eq!(rig.post("/admin/actors/partitions/3/explode", "").await.0, 404);
    let audit = rig.ok("/admin/audit?limit=2").await;
    assert_eq!(audit["items"][0]["outcome"], "not_possible");
    assert_eq!(rig.all("/admin/audit?", 2).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_closed() {
    let rig = Rig::start().await;
    let all: Vec<_> = (0..25).map(|n| rig.connect(&format!("user{}", n % 5))).collect();
    let mut clients: Vec<_> = all.iter().map(|connection| connection.client.to_string()).collect();
    clients.sort();
    assert_eq!(texts(&rig.all("/admin/sessions?", 10).await, "client"), clients);
    assert_eq!(rig.all("/admin/sessions?user=user3&", 2).await.len(), 5);
    assert_eq!(rig.all("/admin/actors?parent=sessions&", 10).await.len(), 25);
    assert_eq!(rig.ok("/admin/actors/sessions").await["actor"]["children"], 25);
    let code = |n: usize| {
        std::iter::from_fn(|| all[n].outbox.take_order()).find_map(|order| match order {
            Order::Close { code, .. } => Some(code),
            _ => None,
        })
    };
    let one = all[7].client;
    assert_eq!(rig.post(&format!("/admin/sessions/{one}/disconnect"), r#"{"stay_away":true}"#).await.0, 204);
    assert_eq!((code(7), code(8)), (Some(3503), None));
    assert_eq!(rig.post("/admin/users/user3/disconnect", "").await, (200, json!({ "closed": 5 })));
    assert_eq!((code(3), code(8), code(4)), (Some(3011), Some(3011), None));
    assert_eq!(rig.post(&format!("/admin/sessions/{one}/disconnect"), r#"{"stayaway":true}"#).await.0, 400);
    assert_eq!(rig.get("/admin/sessions/00000000-0000-0000-0000-000000000000").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_lets_in_who_may_ask() {
    let production = [
        ("KERVAN_SERVER__PRODUCTION", "true"),
        ("JWT_SECRET", "a secret of the tests, long enough for HS256"),
        ("KERVAN_ADMIN__TOKEN", "a token of the tests that is long enough"),
    ];
    let rig = Rig::with(&production).await;
    let ask = async |headers: &[(&str, &str)]| rig.raw("GET", "/admin/overview", headers, "").await.0;
    let (host, key) = (("host", "localhost"), format!("Bearer {KEY}"));
    assert_eq!(ask(&[host]).await, 401);
    assert_eq!(ask(&[host, ("authorization", &key)]).await, 200);
    assert_eq!(ask(&[host, ("authorization", "Bearer a token of the tests that is long enough")]).await, 200);
    assert_eq!(ask(&[host, ("authorization", "Bearer a token of the tests that is long enougi")]).await, 401);
    assert_eq!(ask(&[host, ("authorization", &key), ("origin", "http://evil.test")]).await, 403);
    let path = format!("/admin/actors/partitions/{}/restart", Partition::FIRST);
    assert_eq!(rig.raw("POST", &path, &[host, ("authorization", &key)], "").await.0, 403);
    assert_eq!(rig.raw("POST", &path, &[host, ("x-kervan-admin", "1")], "").await.0, 401);
    let config = rig.raw("GET", "/admin/config", &[host, ("authorization", &key)], "").await.1.to_string();
    assert!(config.contains("***") && !config.contains("of the tests"), "{config}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_handles_what_it_hands_out() {
    let rig = Rig::start().await;
    rig.ok("/admin/actors/hub").await;
    rig.engine.node().context().metrics.deliveries.inc_by(310);
    let hub = rig.ok("/admin/actors/hub").await;
    assert_eq!(hub["actor"]["handled"], 310);
    assert_eq!(hub["actor"]["depth"], 0);
    let client = rig.connect("ann").client;
    let session = rig.ok(&format!("/admin/actors/sessions/{client}")).await;
    assert_eq!((&session["actor"]["rate"], &session["actor"]["name"]), (&json!(null), &json!("ann")));
}
