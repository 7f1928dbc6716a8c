//! What others did is noticed once, also after a restart; and events are taken within bounds.

use serde_json::{Value, json};

use super::support::{Answer, Rig};
use crate::testing::found;

impl Rig {
    async fn noticed(&self, user: &str, query: &str) -> Answer {
        self.call(user, "GET", &format!("/api/notifications{query}"), Value::Null).await
    }

    /// Waits until the projector has written so many.
    async fn until_unread(&self, user: &str, count: u64) -> Answer {
        found("so many are unread", async || {
            let page = self.noticed(user, "").await;
            (page.body["unread"] == count).then_some(page)
        })
        .await
    }
}

fn types(page: &Answer) -> Vec<&str> {
    page.body["notifications"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_others_do_is_noticed_once_and_stays_read() {
    let rig = Rig::start().await;
    let made = rig.call("alice", "POST", "/api/chats", json!({"members": ["bob"], "title": "Caravan"})).await;
    let room = made.body["room"].as_str().unwrap();
    rig.until_unread("bob", 1).await;
    rig.call("alice", "POST", "/api/chats", json!({"kind": "direct", "user": "bob"})).await;
    rig.until_unread("bob", 2).await;
    rig.call("alice", "DELETE", &format!("/api/chats/{room}/members/bob"), Value::Null).await;
    let page = rig.until_unread("bob", 3).await;
    assert_eq!(types(&page), ["room.kicked", "room.joined", "room.joined"], "the newest first");
    let newest = &page.body["notifications"][0];
    assert_eq!(newest["data"], json!({"room": room, "by": "alice"}));
    assert_eq!((&newest["message"], &newest["is_read"]), (&json!("alice removed you from a chat"), &json!(false)));
    assert_eq!(rig.noticed("alice", "").await.body["notifications"], json!([]), "not what one did oneself");

    let first = rig.noticed("bob", "?limit=2").await;
    assert_eq!((types(&first).len(), &first.body["more"]), (2, &json!(true)));
    let before = first.body["notifications"][1]["id"].as_str().unwrap().to_owned();
    let rest = rig.noticed("bob", &format!("?before={before}")).await;
    assert_eq!((types(&rest).len(), &rest.body["more"]), (1, &json!(false)));

    let read = "/api/notifications/read";
    // Another's notification is not marked by knowing its id.
    assert_eq!(rig.call("mallory", "POST", read, json!({"ids": [newest["id"]]})).await.status, 204);
    assert_eq!(rig.noticed("bob", "").await.body["unread"], 3);
    assert_eq!(rig.call("bob", "POST", read, json!({"ids": [newest["id"]]})).await.status, 204);
    assert_eq!(types(&rig.noticed("bob", "?unread=true").await).len(), 2);
    assert_eq!(rig.call("bob", "POST", read, json!({"all": true, "up_to": before})).await.status, 204);
    let rig = rig.restart(|_| ()).await;
    let page = rig.noticed("bob", "").await;
    assert_eq!((&page.body["unread"], types(&page).len()), (&json!(0), 3), "{page:?}");

    for bad in
        [json!({}), json!({"all": true, "ids": [before]}), json!({"ids": ["x"]}), json!({"ids": vec![before; 101]})]
    {
        let answer = rig.call("bob", "POST", read, bad).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    for query in ["?limit=0", "?limit=101", "?before=x", "?unread=maybe"] {
        assert_eq!(rig.noticed("bob", query).await.refusal(), (400, "bad_request"), "{query}");
    }
}

#[tokio::test]
async fn events_are_taken_within_bounds() {
    let rig = Rig::with(|config| config.limits.changes_per_minute = 60).await;
    let good =
        json!({"events": [{"type": "page.opened", "data": {"page": "/"}, "session_id": "s-1"}, {"type": "scrolled"}]});
    let taken = rig.call("alice", "POST", "/api/events", good.clone()).await;
    assert_eq!((taken.status, &taken.body), (202, &json!({"accepted": 2})));
    let many = json!({"events": vec![json!({"type": "x"}); 101]});
    for (body, refusal) in [
        (json!({"events": [{"type": ""}]}), (400, "bad_request")),
        (json!({"events": [{"data": 1}]}), (400, "bad_request")),
        (json!({"events": [{"type": "x".repeat(65)}]}), (413, "too_large")),
        (json!({"events": [{"type": "x", "data": "x".repeat(5_000)}]}), (413, "too_large")),
        (json!({"events": [{"type": "x", "session_id": "x".repeat(65)}]}), (413, "too_large")),
        (json!({"events": [{"type": "x", "session_id": 7}]}), (400, "bad_request")),
        (many, (400, "limit_exceeded")),
    ] {
        assert_eq!(rig.call("alice", "POST", "/api/events", body).await.refusal(), refusal);
    }
    assert_eq!(rig.send("POST", "/api/events", &[], good.clone()).await.refusal(), (401, "unauthorized"));
    let mut refused = None;
    for _ in 0..60 {
        let answer = rig.call("alice", "POST", "/api/events", good.clone()).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    assert_eq!(refused.expect("a bound").refusal(), (429, "too_many_requests"));
    assert_eq!(rig.call("bob", "POST", "/api/events", good).await.status, 202, "each has his own");
}
