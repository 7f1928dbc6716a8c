//! What is not refreshed in time is over, each thing with its code; what is refreshed lives. In both formats.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{FORMATS, Rig, ask_for, presence};
use super::tokens::hs256;
use crate::api::protocol::Format;
use crate::api::protocol::codes::Disconnect;
use crate::env::Env;

/// What a token that is about to be over has left: tokens count in whole seconds.
const TTL: Duration = Duration::from_secs(2);
/// For a late refresh; 25 s outside of tests.
const GRACE: Duration = Duration::from_millis(500);
/// The least and the most that may pass until the end: up to a second is lost to the rounding, some to the machine.
const EARLIEST: Duration = Duration::from_millis(1_400);
const LATEST: Duration = Duration::from_secs(6);

async fn rig(format: Format) -> Rig {
    let mut rig = Rig::with_grace(Env::system(), GRACE, |_| ()).await;
    rig.format = format;
    rig
}

fn in_time(since: Instant) {
    let took = since.elapsed();
    assert!(took >= EARLIEST && took < LATEST, "{took:?}");
}

#[tokio::test]
async fn a_connection_without_a_refresh_is_closed_with_3005_and_one_with_it_is_not() {
    for format in FORMATS {
        let rig = rig(format).await;
        let start = Instant::now();
        let (mut ann, mut bob) = (rig.open().await, rig.open().await);
        for (client, name) in [(&mut ann, "ann"), (&mut bob, "bob")] {
            let reply = client.ask(json!({ "connect": { "token": rig.token_for(Some(name), None, Some(TTL)) } })).await;
            let ttl = reply["connect"]["ttl"].as_u64();
            assert!(reply["connect"]["expires"] == true && (1..=2).contains(&ttl.unwrap_or(0)), "{reply}");
        }
        let longer = rig.token_for(Some("ann"), None, Some(TTL * 30));
        let reply = ann.ask(json!({ "refresh": { "token": longer } })).await;
        assert!(reply["refresh"]["ttl"].as_u64().unwrap() > 50, "{reply}");
        assert_eq!(bob.closed().await, 3005, "{format:?}");
        in_time(start);
        assert_eq!(rig.ended_with(Disconnect::EXPIRED), 1);
        let reply = ann.ask(ask_for("ann")).await;
        assert_eq!(reply["rpc"]["data"], presence("ann", true), "who came with a new token in time stays");
    }
}

#[tokio::test]
async fn a_subscription_without_a_refresh_ends_with_2501_and_one_with_it_does_not() {
    for format in FORMATS {
        let rig = rig(format).await;
        let token = |channel: &str, ttl| rig.token_for(Some("ann"), Some(channel), Some(ttl));
        let publish = |channel: &str| json!({ "publish": { "channel": channel, "data": 1 } });
        let subscribe = |channel: &str| json!({ "subscribe": { "channel": channel, "token": token(channel, TTL) } });
        let start = Instant::now();
        let mut ann = rig.client("ann").await;
        for channel in ["token:kept", "token:left"] {
            let reply = ann.ask(subscribe(channel)).await;
            assert!(reply["subscribe"]["expires"] == true, "{reply}");
        }
        let refresh = json!({ "channel": "token:kept", "token": token("token:kept", TTL * 30) });
        let reply = ann.ask(json!({ "sub_refresh": refresh })).await;
        assert!(reply["sub_refresh"]["ttl"].as_u64().unwrap() > 50, "{reply}");
        let push = ann.push("token:left", "unsubscribe").await;
        assert_eq!((&push["code"], &push["reason"]), (&json!(2501), &json!("subscription expired")), "{format:?}");
        in_time(start);
        assert_eq!(ann.ask(publish("token:left")).await["error"]["code"], 103, "it is subscribed no more");
        assert_eq!(ann.ask(publish("token:kept")).await["publish"], json!({}));
        assert_eq!(ann.push("token:kept", "pub").await["data"], 1);
        // As an SDK does after 2501.
        let again = ann.ask(subscribe("token:left")).await;
        assert!(again["subscribe"]["expires"] == true, "{again}");
        assert_eq!(ann.ask(publish("token:left")).await["publish"], json!({}));
    }
}

#[tokio::test]
async fn a_refresh_with_an_expired_token_closes_with_its_code() {
    for format in FORMATS {
        let rig = rig(format).await;
        let long_ago = hs256(&json!({ "sub": "ann", "exp": 1 }));
        let long_ago_there = hs256(&json!({ "sub": "ann", "channel": "token:x", "exp": 1 }));
        for (command, code) in [
            (json!({ "refresh": { "token": long_ago } }), 3005),
            (json!({ "sub_refresh": { "channel": "token:x", "token": long_ago_there } }), 3006),
        ] {
            let mut ann = rig.client("ann").await;
            let token = rig.token_for(Some("ann"), Some("token:x"), Some(TTL * 30));
            let reply = ann.ask(json!({ "subscribe": { "channel": "token:x", "token": token } })).await;
            assert!(reply["error"].is_null(), "{reply}");
            ann.send(command).await;
            assert_eq!(ann.closed().await, code, "{format:?}");
        }
    }
}
