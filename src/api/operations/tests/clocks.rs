//! A clock that was wrong for one write: everything goes on, through the whole node.

use serde_json::json;

use super::support::{Fixture, START};
use crate::ids::Timestamp;

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn a_clock_that_was_wrong_for_one_write_mutes_nobody() {
    for wrong in [HOUR, 23 * HOUR, -HOUR, -24 * HOUR] {
        let mut f = Fixture::new().await;
        let (room, chat) = (f.group(&["ann", "bob"]).await, f.direct("ann", "bob").await);
        let early = f.say("ann", &room, "early").await;
        f.clock.set(Timestamp(START.0.saturating_add_signed(wrong)));
        f.say("ann", &room, "at a wrong time").await;
        f.say("ann", &chat, "at a wrong time").await;
        f.clock.set(Timestamp(START.0 + 1_000));
        // A restart in between changes nothing.
        for again in [false, true] {
            if again {
                f = f.crash().await;
            }
            let seq = f.say("bob", &room, "right again").await;
            f.say("bob", &chat, "right again").await;
            f.ok("bob", "message.edit", json!({ "room": room, "target": seq, "body": "better" })).await;
            f.ok("ann", "message.edit", json!({ "room": room, "target": early, "body": "better" })).await;
            f.ok("bob", "message.delete", json!({ "room": room, "target": seq })).await;
            f.ok("ann", "room.invite", json!({ "room": room, "user": if again { "dan" } else { "cat" } })).await;
            f.ok("ann", "read.mark", json!({ "room": room, "seq": seq })).await;
            f.ok("ann", "user.preferences", json!({ "preferences": { "again": again } })).await;
        }
        f.ok("ann", "room.end", json!({ "room": chat })).await;
    }
}
