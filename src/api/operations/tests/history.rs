//! `message.history` while the store is ahead, behind and down.

use serde_json::{Value, json};

use super::support::{Fixture, bodies};
use crate::ids::{Offset, Partition, RoomId};
use crate::limits;
use crate::testing::everyone_else_runs;

fn partition(room: &str) -> Partition {
    RoomId(room.parse().unwrap()).partition()
}

fn seqs(page: &Value) -> Vec<u64> {
    page["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_page_shows_messages_as_they_are_with_all_that_belongs_to_them() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let data = json!({ "room": room, "body": "hi", "type": "image", "metadata": { "w": 1 }, "client_id": "m1" });
    let sent = f.ok("alice", "message.send", data).await;
    f.ok("bob", "message.send", json!({ "room": room, "body": "re", "reply_to": 2 })).await;
    let expect = |page: &Value| {
        let first = json!({
            "seq": 2, "no": 1, "id": sent["id"], "sender": "alice", "body": "hi", "message_type": "image",
            "metadata": { "w": 1 }, "client_id": "m1", "ts": sent["ts"],
        });
        assert_eq!(page["messages"][0], first);
        assert_eq!(page["messages"][1]["reply_to"], 2);
        assert_eq!((&page["head"], &page["floor"], &page["more"]), (&json!(3), &json!(1), &json!(false)));
    };
    expect(&f.ok("bob", "message.history", json!({ "room": room })).await);
    f.settle().await;
    expect(&f.ok("bob", "message.history", json!({ "room": format!("room:{room}") })).await);
}

#[tokio::test]
async fn pages_go_both_ways_and_say_whether_there_are_more() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    for n in 2..=9 {
        assert_eq!(f.say("alice", &room, &format!("m{n}")).await, n);
    }
    for stored in [false, true] {
        if stored {
            f.settle().await;
        }
        for (ask, expected, more) in [
            (json!({ "limit": 3 }), vec![7, 8, 9], true),
            (json!({ "limit": 3, "before": 7 }), vec![4, 5, 6], true),
            (json!({ "limit": 3, "before": 4 }), vec![2, 3], false),
            (json!({ "limit": 3, "before": 1 }), vec![], false),
            (json!({ "limit": 3, "after": 0 }), vec![2, 3, 4], true),
            (json!({ "limit": 3, "after": 6 }), vec![7, 8, 9], false),
            (json!({ "limit": 3, "after": 99 }), vec![], false),
        ] {
            let mut data = ask.clone();
            data["room"] = json!(room);
            let page = f.ok("bob", "message.history", data).await;
            assert_eq!((seqs(&page), &page["more"]), (expected, &json!(more)), "{ask}, stored: {stored}");
        }
    }
    assert_eq!(f.code("bob", "message.history", json!({ "room": room, "before": 3, "after": 1 })).await, 107);
    assert_eq!(f.code("bob", "message.history", json!({ "room": room, "limit": 301 })).await, 106);
    assert_eq!(f.code("bob", "message.history", json!({ "room": room, "limit": 0 })).await, 107);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_although_the_store_has_none_of_it() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let (one, two) = (f.say("alice", &room, "one").await, f.say("alice", &room, "two").await);
    f.settle().await;
    f.store.set_open(false);
    f.ok("alice", "message.edit", json!({ "room": room, "target": one, "body": "uno" })).await;
    f.ok("alice", "message.delete", json!({ "room": room, "target": two })).await;
    f.say("alice", &room, "three").await;
    let page = f.ok("alice", "message.history", json!({ "room": room })).await;
    assert_eq!(bodies(&page), ["uno", "", "three"]);
    assert_eq!(page["messages"][1]["deleted"], true);
    f.store.set_open(true);
    f.settle().await;
    let stored = f.ok("alice", "message.history", json!({ "room": room })).await;
    assert_eq!(stored, page, "the same from rows as from memory");
}

#[tokio::test]
async fn without_a_store_a_page_comes_from_memory() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    f.say("alice", &room, "one").await;
    f.settle().await;
    f.store.set_down(true);
    f.say("alice", &room, "two").await;
    let page = f.ok("bob", "message.history", json!({ "room": room })).await;
    assert_eq!((bodies(&page), &page["more"]), (vec!["one".to_owned(), "two".to_owned()], &json!(false)));
    f.store.set_down(false);
}

#[tokio::test]
async fn without_a_store_and_with_a_trimmed_journal_memory_says_how_far_it_reaches() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    // More than a room keeps in memory of what is stored.
    let long = "x".repeat(20_000);
    for _ in 0..8 {
        f.say("alice", &room, &long).await;
    }
    f.settle().await;
    f.say("alice", &room, "last").await;
    f.settle().await;
    f.journal.with_log(|log| log.trim(&[(partition(&room), Offset(1))])).unwrap();
    f.store.set_down(true);
    let page = f.ok("bob", "message.history", json!({ "room": room })).await;
    let seqs = seqs(&page);
    assert_eq!((seqs.last(), &page["more"]), (Some(&10), &json!(true)));
    assert!(seqs[0] > 2, "memory is bounded");
    let before = json!({ "room": room, "before": seqs[0] });
    assert_eq!(f.code("bob", "message.history", before.clone()).await, 450);
    assert_eq!(f.code("bob", "message.history", json!({ "room": room, "after": 1 })).await, 450);
    let after = json!({ "room": room, "after": seqs[0] });
    assert_eq!(f.ok("bob", "message.history", after).await["more"], false);
    f.store.set_down(false);
    assert_eq!(f.ok("bob", "message.history", before).await["more"], false);
}

#[tokio::test]
async fn without_a_store_what_memory_let_go_is_told_from_the_journal() {
    let mut f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let long = "x".repeat(20_000);
    for n in 0..8 {
        f.say("alice", &room, &format!("{n}{long}")).await;
    }
    f.ok("alice", "message.edit", json!({ "room": room, "target": 3, "body": "better" })).await;
    f.ok("alice", "message.delete", json!({ "room": room, "target": 4 })).await;
    f.settle().await;
    f.say("alice", &room, "last").await;
    f.settle().await;
    let asks = [
        json!({ "room": room, "after": 0, "limit": 4 }),
        json!({ "room": room, "before": 5, "limit": 2 }),
        json!({ "room": room, "after": 2 }),
        json!({ "room": room, "before": 2 }),
    ];
    let mut pages = Vec::new();
    for ask in &asks {
        pages.push(f.ok("bob", "message.history", ask.clone()).await);
    }
    assert_eq!(seqs(&pages[0]), [2, 3, 4, 5]);
    f.store.set_down(true);
    for (ask, page) in asks.iter().zip(&pages) {
        assert_eq!(&f.ok("bob", "message.history", ask.clone()).await, page, "{ask}: the same as from rows");
    }
    assert_eq!(f.code("eve", "message.history", asks[0].clone()).await, 412, "members only, from wherever it comes");
    // So does whoever fetches what he missed, and gets nothing of what was deleted.
    let events = f.fetch(&room, 1, 5).await.unwrap();
    assert_eq!(events.len(), 5);
    assert!(events[3].contains("redacted: true") && !events[3].contains("2xxx"), "{:.300}", events[3]);
    f.store.set_down(false);
    assert_eq!(f.fetch(&room, 1, 5).await.unwrap(), events, "the same as from rows");
}

#[tokio::test]
async fn a_store_that_is_behind_by_more_than_memory_holds_is_waited_for() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    f.settle().await;
    f.store.set_open(false);
    let long = "x".repeat(30_000);
    let mut last = 0;
    while last * 30_000 < limits::ROOM_RING_UNSTORED_BYTES as u64 + 300_000 {
        last = f.say("alice", &room, &long).await;
    }
    // The newest are in memory, the oldest nowhere that can be read now.
    f.journal.with_log(|log| log.trim(&[(partition(&room), Offset(1))])).unwrap();
    let newest = f.ok("bob", "message.history", json!({ "room": room, "limit": 5 })).await;
    assert_eq!((seqs(&newest), &newest["more"]), (((last - 4)..=last).collect(), &json!(true)));
    let oldest = json!({ "room": room, "after": 0, "limit": 3 });
    assert_eq!(f.code("bob", "message.history", oldest.clone()).await, 450);
    let opened = async {
        everyone_else_runs().await;
        f.store.set_open(true);
    };
    let (page, ()) = tokio::join!(f.ok_at_last("bob", "message.history", oldest), opened);
    assert_eq!(seqs(&page), [2, 3, 4]);
}

#[tokio::test]
async fn pages_are_bounded_in_bytes_and_lead_through_all_of_it() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    // Two bytes each as they are sent.
    let body = "\"".repeat(30_000);
    for n in 2..=21 {
        assert_eq!(f.say("alice", &room, &body).await, n);
    }
    for stored in [false, true] {
        if stored {
            f.settle().await;
        }
        for direction in ["after", "before"] {
            let (mut seen, mut at) = (Vec::new(), if direction == "after" { 0 } else { 1_000 });
            loop {
                let page = f.ok("bob", "message.history", json!({ "room": room, "limit": 300, direction: at })).await;
                let found = seqs(&page);
                assert!(page.to_string().len() <= limits::PAGE_BYTES + 1_024, "{} bytes", page.to_string().len());
                assert!(!found.is_empty() || page["more"] == false, "a page makes progress");
                if direction == "after" {
                    seen.extend(&found);
                    at = *found.last().unwrap_or(&at);
                } else {
                    seen.splice(0..0, found.iter().copied());
                    at = *found.first().unwrap_or(&at);
                }
                if page["more"] == false {
                    break;
                }
            }
            assert_eq!(seen, (2..=21).collect::<Vec<_>>(), "{direction}, stored {stored}");
        }
    }
}
