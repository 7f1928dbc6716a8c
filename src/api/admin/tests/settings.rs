//! The node as a whole: figures, settings, bounds, and bad parameters.

use serde_json::{Value, json};

use super::support::Rig;
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::notifications::outbox::NotificationCursor;
use crate::testing::{found, until};

#[tokio::test(flavor = "multi_thread")]
async fn settings_tell_where_they_come_from() {
    let rig = Rig::with(&[("KERVAN_LIMITS__RESIDENT_ROOMS", "77")]).await;
    let config = rig.ok("/admin/config").await;
    let of = |section: &str, key: &str| {
        let items = config["items"].as_array().unwrap();
        items.iter().find(|item| item["section"] == section && item["key"] == key).unwrap().clone()
    };
    let rooms = of("limits", "resident_rooms");
    assert_eq!(rooms["value"], "77");
    assert_eq!(rooms["origin"], "environment variable KERVAN_LIMITS__RESIDENT_ROOMS");
    assert_eq!(of("auth", "hmac_secret")["value"], "\"***\"");
    assert_eq!(of("channels[0]", "open")["value"], "true");
    let limits = rig.ok("/admin/limits").await;
    let limit = limits["items"].as_array().unwrap().iter().find(|limit| limit["name"] == "resident_rooms").unwrap();
    assert_eq!((&limit["value"], &limit["used"]), (&json!(77), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_and_the_partitions_follow_what_happens() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann"]).await;
    rig.call("ann", "message.send", json!({ "room": room, "body": "x" })).await;
    rig.settle().await;
    let overview = rig.ok("/admin/overview").await;
    assert_eq!((&overview["status"], &overview["production"]), (&json!("ok"), &json!(false)));
    assert!(overview["messages_accepted"].as_u64() > Some(0), "{overview}");
    assert_eq!(overview["resident_rooms"], 1);
    assert_eq!(overview["halted_partitions"], 0);
    // Somebody may have something at this moment; nothing stays.
    until("no mailbox holds anything", async || rig.ok("/admin/overview").await["mailbox_depth"] == 0).await;
    // The relay writes to the members' partitions in its own time: each of them is brought up in its turn.
    let items = found("every partition is brought up to its head", async || {
        let all = rig.ok("/admin/partitions").await;
        let items = all["items"].as_array().unwrap().clone();
        let is_up = |item: &Value| {
            ["verified", "applied", "watermark"].iter().all(|mark| item[mark] == item["head"]) && item["lag"] == 0
        };
        items.iter().all(is_up).then_some(items)
    })
    .await;
    assert_eq!(items.len(), 256);
    assert!(items.iter().any(|item| item["head"].as_u64() > Some(0)));
    assert_eq!(items[255]["slots"], json!([16_320, 16_383]));
    assert_eq!(rig.get("/admin/partitions/256").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_there_is_an_engine_the_answer_is_that_it_starts() {
    let rig = Rig::start().await;
    assert_eq!((rig.early.0, &rig.early.1["error"]["code"]), (503, &json!("starting")));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_named() {
    let rig = Rig::start().await;
    for (path, hint) in [
        ("actors?limit=0", "limit"),
        ("actors?limit=1001", "limit"),
        ("actors?limit=x", "limit"),
        ("actors?kind=cow", "kind"),
        ("actors?state=tired", "state"),
        ("actors?sort=colour", "sort"),
        ("actors?colour=blue", "colour"),
        ("actors?after=x", "after"),
        ("sessions?after=x", "after"),
        ("users?after=", "after"),
        ("audit?after=x", "after"),
        ("rooms?limit=-1", "limit"),
    ] {
        let (status, json) = rig.get(&format!("/admin/{path}")).await;
        assert_eq!((status, &json["error"]["code"]), (400, &json!("bad_request")), "{path}");
        assert!(json["error"]["message"].as_str().unwrap().contains(hint), "{path}: {json}");
    }
    assert_eq!(rig.get("/admin/actors?parent=nobody").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_deserves_a_look_is_warned_of() {
    let rig = Rig::with(&[("KERVAN_DATA__JOURNAL_RETENTION", "1h")]).await;
    let codes = async || {
        let found = rig.ok("/admin/warnings").await;
        let items = found["items"].as_array().unwrap().clone();
        items.into_iter().map(|item| item["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes().await, ["backup_age"]);
    rig.engine.retention().backup(&rig.dir.path().join("backup")).await.unwrap();
    assert_eq!(codes().await, [""; 0]);
    rig.engine.node().halted().mark(crate::ids::Partition::FIRST, "it can't be read");
    let metrics = &rig.engine.node().context().metrics;
    metrics.accept_errors.inc();
    (0..100).for_each(|_| metrics.fsync_recent.observe(std::time::Duration::from_secs(1)));
    assert_eq!(codes().await, ["halted_partition", "slow_disk", "accept_errors"]);
    let partition = rig.ok("/admin/partitions/0").await;
    assert_eq!((&partition["state"], &partition["halted"]), (&json!("halted"), &json!("it can't be read")));
    let halted = rig.all("/admin/actors?state=halted&", 10).await;
    assert_eq!(super::support::texts(&halted, "path"), ["partitions/0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_ended_by_a_server_that_does_not_notify_itself() {
    let path = "/admin/notifications/end";
    let notifies = Rig::with(&[("KERVAN_NOTIFICATIONS__LOG", "true")]).await;
    let (status, refused) = notifies.post(path, "").await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("not_possible")), "{refused}");
    let rig = Rig::start().await;
    let (partition, next, latest) = (Partition::FIRST, Offset(7), Timestamp::ZERO);
    let left = NotificationCursor { partition, next, after: None, latest };
    rig.engine.live().outbox.begin(vec![left]).await.unwrap();
    assert_eq!(rig.post(path, "").await, (200, json!({ "partitions": 1, "waiting": 0 })));
    assert_eq!(rig.post(path, "").await, (200, json!({ "partitions": 0, "waiting": 0 })));
    assert_eq!(rig.get(path).await.0, 405);
}
