//! What an operator does with a data folder, by the command and against the real server: backup while it is in use,
//! restore, trimming behind a backup, a database that is lost.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

#[allow(dead_code, reason = "the crash run has it, and needs more of it")]
#[path = "../crash/client.rs"]
mod client;
mod rows;
#[allow(dead_code, reason = "the crash run has it, and needs more of it")]
#[path = "../crash/server.rs"]
mod server;
#[allow(dead_code, reason = "the test of graduation has it, too, and needs more of it")]
mod support;

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use support::{Chat, kervan, segments, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_messages_are_sent_brings_back_all_that_was_acknowledged_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "");
    let chat = Arc::new(Chat::open(&server).await);
    for n in 0..100 {
        chat.send(n, "before").await.unwrap();
    }
    let sending = tokio::spawn({
        let chat = Arc::clone(&chat);
        async move {
            let mut n = 100;
            while chat.send(n, "meanwhile").await.is_ok() {
                n += 1;
            }
        }
    });
    chat.reach(150).await;
    let before = chat.acked();
    let backup = folder.path().join("backup");
    let data = server.data.clone();
    let to = backup.clone();
    let (code, out) = tokio::task::spawn_blocking(move || kervan(&["backup"], &[&to], Some(&data))).await.unwrap();
    assert_eq!(code, 0, "{out}");
    let after = chat.acked().len();
    chat.reach(after + 50).await;
    server.kill9();
    sending.await.unwrap();
    let all = chat.acked();

    server.data = folder.path().join("restored");
    let (code, out) = kervan(&["restore"], &[&backup], Some(&server.data));
    assert_eq!(code, 0, "{out}");
    server.restart();
    server.wait_ready(support::START);
    let again = chat.again(&server).await;
    let found = again.history().await;
    // Exactly the sends in their order, each once, at the seq that its sender was told: up to some moment of the backup.
    assert!(found.len() >= before.len(), "{} of {} are there", found.len(), before.len());
    assert!(found.len() < all.len(), "nothing was sent after the backup");
    assert_eq!(found[..], all[..found.len()]);
    // What was there is known: it makes no second message.
    assert_eq!(again.send(before.len() - 1, "before").await.unwrap(), before[before.len() - 1].1);
    // And it goes on with the next seq.
    assert_eq!(again.send(1_000_000, "after").await.unwrap(), found[found.len() - 1].1 + 1);
    assert!(again.lists_its_room().await);
}

/// The position that a reply to a subscribe gives.
fn position(reply: &Value) -> Value {
    json!({ "epoch": reply["epoch"], "offset": reply["offset"] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_is_recovered_from_its_own_history_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "");
    let chat = Chat::open(&server).await;
    for n in 0..3 {
        chat.send(n, "old").await.unwrap();
    }
    let backup = folder.path().join("backup");
    let (code, out) = kervan(&["backup"], &[&backup], Some(&server.data));
    assert_eq!(code, 0, "{out}");
    for n in 3..6 {
        chat.send(n, "lost").await.unwrap();
    }
    let before = position(&chat.subscribe(&server, None).await);
    let own = position(&Chat::personal(&server, None).await);
    assert_eq!(chat.history_refused(&server, &before).await, 0);
    assert_eq!(Chat::personal(&server, Some(&own)).await["recovered"], true);
    server.kill9();

    // The same seqs come again and name other messages.
    server.data = folder.path().join("restored");
    let (code, out) = kervan(&["restore"], &[&backup], Some(&server.data));
    assert_eq!(code, 0, "{out}");
    server.restart();
    server.wait_ready(support::START);
    let again = chat.again(&server).await;
    for n in 6..14 {
        again.send(n, "new").await.unwrap();
    }
    let reply = again.subscribe(&server, Some(&before)).await;
    assert_eq!((&reply["recovered"], &reply["publications"]), (&Value::Null, &Value::Null), "{reply}");
    assert_ne!(reply["epoch"], before["epoch"]);
    assert_eq!(again.history_refused(&server, &before).await, 112);
    let personal = Chat::personal(&server, Some(&own)).await;
    assert_eq!(personal["recovered"], Value::Null, "{personal}");

    // Rows that are lost and made anew from the journal name what they named.
    let after = position(&reply);
    again.send(14, "one more").await.unwrap();
    server.terminate();
    assert_eq!(server.wait_end(support::START).code(), Some(0));
    rows::lose(&server.data);
    server.restart();
    server.wait_ready(support::START);
    let reply = again.subscribe(&server, Some(&after)).await;
    assert_eq!((&reply["recovered"], reply["publications"].as_array().unwrap().len()), (&json!(true), 1), "{reply}");

    // In a new data folder as well, where the same channel begins anew.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = start(elsewhere.path(), "");
    let begun = Chat::personal(&other, Some(&json!({ "epoch": own["epoch"], "offset": 0 }))).await;
    assert_eq!(begun["recovered"], Value::Null, "{begun}");
    other.terminate();
    assert_eq!(other.wait_end(support::START).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_backed_up_or_restored_is_exit_code_2_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let refused = |arguments: &[&str], paths: &[&std::path::Path], data: &str, why: &[&str]| {
        let (code, out) = kervan(arguments, paths, Some(&at(data)));
        assert!(code == 2 && why.iter().all(|why| out.contains(why)), "exit code {code}: {out}");
    };
    refused(&["backup"], &[&at("backup")], "data", &["nothing to back up in", "data"]);
    assert!(!at("data").exists(), "asking made nothing");
    let mut server = start(folder.path(), "");
    let chat = Chat::open(&server).await;
    chat.send(0, "one").await.unwrap();
    let told = chat.acked();
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/mine.txt"), "").unwrap();
    refused(&["backup"], &[&at("full")], "data", &["is not empty", "mine.txt"]);
    refused(&["restore"], &[&at("backup")], "data", &["is held by process"]);

    // A page in a browser, or another user of the machine: without the key of the data folder there is no backup.
    let door = fs::read_to_string(server.data.join("ADMIN")).unwrap();
    let (address, key) = door.trim().split_once('\n').unwrap();
    for shown in ["", "authorization: Bearer x\r\n", &format!("authorization: Bearer {key}0\r\n")] {
        let answer =
            support::post(address, "/admin/backup", shown, &format!("{{\"dir\":\"{}\"}}", at("theft").display()));
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    assert!(!at("theft").exists());
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(server.data.join("ADMIN")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    // At rest it works as well, and also right after a kill.
    server.kill9();
    let (code, out) = kervan(&["backup"], &[&at("backup")], Some(&server.data));
    assert_eq!(code, 0, "{out}");
    refused(&["restore"], &[&at("backup")], "data", &["is not empty", "a new data folder"]);
    refused(&["restore"], &[&at("nothing")], "new", &["no finished backup"]);
    let segment = at("backup/journal/segment-0000000001.log");
    let whole = fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for (bytes, why) in [(&damaged[..], "checksum"), (&whole[1..], "bytes instead of")] {
        fs::write(&segment, bytes).unwrap();
        refused(&["restore"], &[&at("backup")], "new", &["segment-0000000001.log", why]);
    }
    fs::remove_file(&segment).unwrap();
    refused(&["restore"], &[&at("backup")], "new", &["segment-0000000001.log is missing"]);
    fs::write(&segment, &whole).unwrap();

    // A restore that was cut short is no data folder: a server would begin with an empty one.
    fs::create_dir_all(at("new/restoring")).unwrap();
    let (code, out) = kervan(&["serve", "--port", "0"], &[], Some(&at("new")));
    assert!(code != 0 && out.contains("did not finish"), "exit code {code}: {out}");
    let (code, out) = kervan(&["restore"], &[&at("backup")], Some(&at("new")));
    assert_eq!(code, 0, "{out}");
    server.data = at("new");
    server.restart();
    server.wait_ready(support::START);
    assert_eq!(chat.again(&server).await.history().await, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trim_behind_a_backup_frees_segments_and_loses_nothing() {
    const LONG: usize = 30_000;
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "[data]\nsegment_size = \"4MiB\"\njournal_retention = \"1ms\"\n");
    let chat = Chat::open(&server).await;
    for n in 0..400 {
        chat.send(n, &"x".repeat(LONG)).await.unwrap();
    }
    assert!(chat.lists_its_room().await, "the store has it all");
    assert!(segments(&server.data).len() >= 3, "{:?}", segments(&server.data));
    assert_eq!(segments(&server.data)[0], 1, "nothing goes without a backup");
    let backup = folder.path().join("backup");
    let (code, out) = kervan(&["backup"], &[&backup], Some(&server.data));
    assert_eq!(code, 0, "{out}");
    let left = segments(&server.data);
    assert_eq!(left.len(), 1, "{left:?}");
    for n in 400..410 {
        chat.send(n, "after").await.unwrap();
    }
    let told = chat.acked();
    server.kill9();
    server.restart();
    server.wait_ready(support::START);
    let again = chat.again(&server).await;
    assert_eq!(again.history().await, told);
    assert_eq!(again.send(3, "again").await.unwrap(), told[3].1, "deduplicated from the rows");
    server.kill9();

    // The database is lost: what is left of the journal is not all, and the start says so instead of beginning anew.
    rows::lose(&server.data);
    let (code, out) = kervan(&["serve", "--port", "0"], &[], Some(&server.data));
    assert!(code != 0 && out.contains("the journal was trimmed beyond this store"), "exit code {code}: {out}");
    rows::lose(&server.data);
    // With the database of the backup it is all: the rest is in the journal.
    fs::copy(backup.join("store.db"), server.data.join("kervan.db")).unwrap();
    server.restart();
    server.wait_ready(support::START);
    assert_eq!(chat.again(&server).await.history().await, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_database_is_built_anew_from_the_journal_with_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "");
    let chat = Chat::open(&server).await;
    chat.live_a_little().await;
    let told = chat.acked();
    server.terminate();
    assert_eq!(server.wait_end(support::START).code(), Some(0));
    let before = rows::all(&server.data).await;
    assert!(before.iter().filter(|(_, rows)| !rows.is_empty()).count() >= 10, "{:?}", before.keys());
    rows::lose(&server.data);

    server.restart();
    server.wait_ready(support::START);
    assert_eq!(chat.again(&server).await.history().await, told);
    server.terminate();
    assert_eq!(server.wait_end(support::START).code(), Some(0));
    let after = rows::all(&server.data).await;
    for (table, rows) in &before {
        assert_eq!(&after[table], rows, "{table}");
    }
    assert_eq!(before.len(), after.len());

    // Somebody else's database is no database of this journal, however well its offsets fit.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = start(elsewhere.path(), "");
    other.terminate();
    assert_eq!(other.wait_end(support::START).code(), Some(0));
    fs::rename(server.data.join("kervan.db"), folder.path().join("own.db")).unwrap();
    fs::copy(other.data.join("kervan.db"), server.data.join("kervan.db")).unwrap();
    let (code, out) = kervan(&["serve", "--port", "0"], &[], Some(&server.data));
    assert!(code != 0 && out.contains("it is made from the journal"), "exit code {code}: {out}");
    rows::lose(&server.data);
    fs::rename(folder.path().join("own.db"), server.data.join("kervan.db")).unwrap();

    // A journal with a hole builds nothing: neither with the rows nor without.
    fs::rename(server.data.join("journal/segment-0000000001.log"), folder.path().join("aside")).unwrap();
    for _ in 0..2 {
        let (code, out) = kervan(&["serve", "--port", "0"], &[], Some(&server.data));
        let named = out.contains("segment-0000000001.log is missing");
        assert!(code != 0 && named, "exit code {code}: {out}");
        rows::lose(&server.data);
    }
}
