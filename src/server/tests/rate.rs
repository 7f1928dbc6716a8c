//! How fast a projector writes into a real PostgreSQL what a journal holds. A figure, no promise: run it by hand.

use std::time::Instant;

use super::*;

/// Messages of 100 bytes in the journal.
const MESSAGES: usize = 40_000;

/// Seconds that a process has computed for, and those of it that have ended.
fn seconds_of(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // utime, stime, and those of children that were waited for: fields 14 to 17, in hundredths.
    fields.iter().skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The same of a process and its children.
fn seconds_of_family(pid: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(seconds_of).sum::<f64>() + seconds_of(&pid.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure: `cargo test -- --ignored --nocapture rows_a_second`"]
async fn rows_a_second_into_postgresql() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
    let (written, data) = (postgres.fresh().await, folder.path().join("data"));
    let rig = Rig::start(&data, &written).await;
    let mut senders = Vec::new();
    for n in 0..64 {
        let user = UserId::new(&format!("sender{n}")).unwrap();
        let (room, handlers) = (group_of(&rig, &user).await, Arc::clone(&rig.handlers));
        senders.push(tokio::spawn(async move {
            let message = json!({ "room": room.to_string(), "body": "x".repeat(100) });
            for _ in 0..MESSAGES / 64 {
                call(&handlers, &user, "message.send", &message).await.unwrap();
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    rig.end().await;

    let anew = postgres.fresh().await;
    let (begun, own, theirs) = (Instant::now(), seconds_of("self"), seconds_of_family(postgres.pid()));
    let rig = Rig::start(&data, &anew).await;
    for partition in Partition::all() {
        let end = rig.engine.node().applied().get(partition);
        within("all of it is stored", rig.engine.node().stored().reach(partition, end)).await;
    }
    let (took, own) = (begun.elapsed().as_secs_f64(), seconds_of("self") - own);
    let theirs = seconds_of_family(postgres.pid()) - theirs;
    rig.end().await;
    let rows = postgres.rows(&anew).await["messages"].len();
    assert_eq!(rows, MESSAGES / 64 * 64);
    println!(
        "{rows} messages in {took:.2} s: {:.0}/s; CPU {own:.2} s here, fold of owner and projector among it, {theirs:.2} s PostgreSQL",
        rows as f64 / took
    );
}
