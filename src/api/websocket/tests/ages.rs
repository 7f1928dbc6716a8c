//! What a channel keeps for a time only is over when the time is, whether or not somebody publishes.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{FORMATS, Rig, manual_clock};

#[tokio::test]
async fn history_ends_by_time_while_nobody_publishes() {
    for format in FORMATS {
        let (env, clock) = manual_clock();
        let change = |config: &mut crate::config::Config| config.channels[0].history_ttl = Duration::from_secs(10);
        let mut rig = Rig::with(env, change).await;
        rig.format = format;
        let mut ann = rig.client("ann").await;
        let first = ann.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
        for n in 1..=3 {
            ann.ask(json!({ "publish": { "channel": "lobby", "data": n } })).await;
            clock.advance(3_000);
        }
        let history = json!({ "history": { "channel": "lobby", "limit": -1 } });
        let data = |reply: &Value| {
            let kept = reply["history"]["publications"].as_array().cloned().unwrap_or_default();
            kept.iter().map(|publication| publication["data"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(data(&ann.ask(history.clone()).await), [1, 2, 3]);
        clock.advance(3_000);
        assert_eq!(data(&ann.ask(history.clone()).await), [2, 3], "12 seconds after the first one");
        let reverse = json!({ "history": { "channel": "lobby", "limit": 9, "reverse": true } });
        assert_eq!(data(&ann.ask(reverse).await), [3, 2]);

        let epoch = first["subscribe"]["epoch"].clone();
        let back = |offset: u64| json!({ "subscribe": { "channel": "lobby", "recover": true, "epoch": epoch, "offset": offset } });
        let mut ben = rig.client("ben").await;
        let recovered = ben.ask(back(1)).await;
        assert_eq!(recovered["subscribe"]["recovered"], true, "{recovered}");
        let mut cat = rig.client("cat").await;
        let lost = cat.ask(back(0)).await;
        assert!(lost["subscribe"]["recovered"].is_null(), "the first one is gone: {lost}");

        clock.advance(60_000);
        let nothing = ann.ask(history).await;
        assert_eq!((data(&nothing), &nothing["history"]["offset"]), (vec![], &json!(3)), "{nothing}");
        let mut dan = rig.client("dan").await;
        assert!(dan.ask(back(1)).await["subscribe"]["recovered"].is_null());
        let mut eve = rig.client("eve").await;
        assert_eq!(eve.ask(back(3)).await["subscribe"]["recovered"], true, "nothing was missed");
        ann.ask(json!({ "publish": { "channel": "lobby", "data": 4 } })).await;
        assert_eq!(eve.offsets("lobby", 4).await, [4], "the order goes on");
    }
}
