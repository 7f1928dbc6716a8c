//! A machine whose clock is wrong says so, where operators and their tools look.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::support::Rig;
use crate::env::{Clock, Env, SystemClock, SystemIds};
use crate::ids::Timestamp;
use crate::testing::until;

/// The machine's clock, set wrong by so many milliseconds. The one that never jumps goes on.
#[derive(Default)]
struct SetWrong {
    by_ms: AtomicI64,
    right: SystemClock,
}

impl Clock for SetWrong {
    fn now(&self) -> Timestamp {
        Timestamp(self.right.now().0.saturating_add_signed(self.by_ms.load(Ordering::Relaxed)))
    }

    fn steady(&self) -> Timestamp {
        self.right.steady()
    }
}

/// What `readyz?verbose` and the warnings say of the clock, if both say that it jumped.
async fn warned(rig: &Rig) -> Option<(String, i64)> {
    let (status, page) = rig.text("/readyz?verbose").await;
    assert_eq!(status, 200, "a clock is no reason to send clients away: {page}");
    let line = page.lines().find(|line| line.starts_with("clock: up, but the clock jumped"))?.to_owned();
    let warnings = rig.ok("/admin/warnings").await;
    let warning = warnings["items"].as_array().unwrap().iter().find(|warning| warning["code"] == "clock")?.clone();
    Some((line, warning["value"].as_i64().unwrap()))
}

/// Whether both say that all is well with it.
async fn well(rig: &Rig) -> bool {
    let page = rig.text("/readyz?verbose").await.1;
    let warnings = rig.ok("/admin/warnings").await;
    let is_warned = warnings["items"].as_array().unwrap().iter().any(|warning| warning["code"] == "clock");
    page.lines().any(|line| line == "clock: up") && !is_warned
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_wrong_is_told_of_until_it_is_right_again() {
    let clock = Arc::new(SetWrong::default());
    let rig = Rig::over(Env { clock: Arc::clone(&clock) as _, ids: Arc::new(SystemIds) }, &[]).await;
    until("the clock is looked at", async || well(&rig).await).await;
    let day_s: i64 = 24 * 60 * 60;
    for off_s in [day_s, -day_s] {
        clock.by_ms.store(off_s * 1_000, Ordering::Relaxed);
        until("it is told of", async || {
            warned(&rig).await.is_some_and(|(line, value)| {
                assert!(line.contains("by -") == (off_s < 0), "{line}");
                (value - day_s).abs() <= 60
            })
        })
        .await;
        clock.by_ms.store(0, Ordering::Relaxed);
        until("it is not told of any more", async || well(&rig).await).await;
    }
}
