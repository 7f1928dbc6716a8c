//! `kervan graduate`: a data folder of a real server is moved to real brokers and a real PostgreSQL, killed on the way again
//! and again; then its clients go on there as if nothing had happened, and the old folder is refused.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

#[allow(dead_code, reason = "the crash run has it, and needs more of it")]
#[path = "../crash/client.rs"]
mod client;
mod engines;
mod http;
#[allow(dead_code, reason = "the crash run has it, and needs more of it")]
#[path = "../crash/server.rs"]
mod server;
#[allow(dead_code, reason = "the tests of backups have it, and need more of it")]
#[path = "../backup/support.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use engines::{Engines, Graduate};
use futures_util::future::join_all;
use serde_json::{Value, json};
use server::{Server, Setup};
use support::{Chat, START, kervan, segments, start};

/// Messages that are in the room when it is moved: enough that a copy of them can be interrupted.
const MESSAGES: usize = 1_500;
/// As large as a photograph.
const FILE: usize = 300_000;

/// What ann sees of her rooms and channels.
async fn seen(server: &Server, chat: &Chat) -> Value {
    let page = chat.rpc("message.history", json!({ "room": chat.room(), "after": 0, "limit": 40 })).await;
    let list = chat.rpc("room.list", json!({})).await;
    let open = chat.call("subscribe", json!({ "channel": "news" })).await;
    let news = chat.call("history", json!({ "channel": "news", "limit": 100 })).await;
    chat.call("unsubscribe", json!({ "channel": "news" })).await;
    let told = http::get(server, "ben", "/api/notifications");
    assert_eq!(told.0, 200);
    let told: Value = serde_json::from_slice(&told.1).unwrap();
    json!([page, list, open["epoch"], open["offset"], news, told])
}

fn position(reply: &Value) -> Value {
    json!({ "epoch": reply["epoch"], "offset": reply["offset"] })
}

fn serve(folder: &Path, sections: &str) -> Server {
    std::fs::create_dir_all(folder).unwrap();
    let mut server = Server::start(folder, Setup { more: sections.to_owned(), ..Setup::default() });
    server.wait_ready(START);
    server
}

/// A server is refused the folder, by name, with these words.
fn is_refused(data: &Path, words: &str) {
    let (code, out) = kervan(&["serve", "--port", "0"], &[], Some(data));
    let named = out.contains(&data.display().to_string()) && out.contains("kervan graduate --back");
    assert!(code == 2 && named && out.contains(words), "exit code {code}: {out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: tests/graduate/run"]
async fn a_data_folder_moves_to_the_cluster_and_its_clients_notice_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let engines = tokio::task::block_in_place(|| Engines::start(folder.path()));
    // On the same brokers, which take longer to start than either of the two.
    a_whole_journal_moves(&engines, &folder.path().join("whole")).await;
    a_trimmed_journal_keeps_its_offsets_and_no_empty_database_is_filled_from_it(&engines, &folder.path().join("part"))
        .await;
}

async fn a_whole_journal_moves(engines: &Engines, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let mut old = start(folder, "");
    let chat = Chat::open(&old).await;
    chat.live_a_little().await;
    let sends = (100..100 + MESSAGES).collect::<Vec<_>>();
    for sends in sends.chunks(500) {
        join_all(sends.iter().map(|n| chat.send(*n, "hello again")))
            .await
            .into_iter()
            .for_each(|sent| _ = sent.unwrap());
    }
    chat.rpc("message.react", json!({ "room": chat.room(), "target": chat.acked()[0].1, "emoji": "👍" })).await;
    chat.call("subscribe", json!({ "channel": "news" })).await;
    for n in 0..5 {
        chat.call("publish", json!({ "channel": "news", "data": { "n": n } })).await;
    }
    chat.call("unsubscribe", json!({ "channel": "news" })).await;
    assert_eq!(http::post(&old, "/api/auth/register", &http::account()), 201);
    let bytes: Vec<u8> = (0..FILE).map(|n| (n * 7 % 251) as u8).collect();
    let file = http::upload(&old, "ann", chat.room(), &bytes);
    let (place, own) = (position(&chat.subscribe(&old, None).await), position(&Chat::personal(&old, None).await));
    let last = chat.send(90, "not stored yet").await.unwrap();
    let (mut told, saw) = (chat.history().await, seen(&old, &chat).await);

    // While it is served nothing is moved, and a look changes nothing.
    let database = engines.database("first");
    let sections = engines.sections("first", &database);
    let graduate = Graduate::new(&old.data, &folder.join("new"), &sections);
    let (code, out) = graduate.run(&[]);
    assert!(code == 2 && out.contains("is held by process") && out.contains("stop its server"), "{code}: {out}");
    old.kill9();
    for _ in 0..2 {
        let (code, out) = graduate.run(&["--dry-run"]);
        assert!(code == 0 && out.contains("records to copy") && out.contains("nothing was done"), "{code}: {out}");
        assert!(out.contains("messages ") && out.contains("takes about") && out.contains("uploads -> "), "{out}");
    }
    assert!(!old.data.join("GRADUATION").exists());

    // Killed at every step, and in the middle of some.
    let ms = Duration::from_millis;
    for (line, later) in [
        ("topics", ms(0)),
        ("records", ms(0)),
        ("records compared", ms(100)),
        ("start of the partitions", ms(50)),
        ("  messages:", ms(0)),
        ("rows", ms(0)),
        ("rooms and users compared", ms(0)),
    ] {
        let said = tokio::task::block_in_place(|| graduate.killed_after(line, later));
        assert!(!said.contains("moved;"), "{said}");
        is_refused(&old.data, "is being moved to Kafka at");
        // In the middle of the records: the end of the partitions is where it goes on.
        for more in [1_050, 1_100, 1_150, 1_250].into_iter().filter(|_| line == "topics") {
            tokio::task::block_in_place(|| graduate.killed_later(ms(more)));
        }
    }
    let (code, out) = graduate.run(&[]);
    assert!(code == 0 && out.contains("moved;"), "{code}: {out}");
    is_refused(&old.data, "was moved to Kafka at");
    let (code, out) = graduate.run(&[]);
    assert!(code == 0, "again is no harm: {code}: {out}");

    // Where the clients go on.
    let mut new = serve(&folder.join("new"), &sections);
    let again = chat.again(&new).await;
    assert_eq!(seen(&new, &again).await, saw);
    assert_eq!(again.history().await, told);
    assert_eq!(again.send(90, "not stored yet").await.unwrap(), last, "it is a duplicate there as well");
    let next = again.send(91, "new").await.unwrap();
    assert_eq!(next, last + 1);
    told.push((91, next));
    let reply = again.subscribe(&new, Some(&place)).await;
    assert_eq!(reply["recovered"], true, "{reply}");
    assert_eq!(reply["epoch"], place["epoch"]);
    let seqs: Vec<_> =
        reply["publications"].as_array().unwrap().iter().map(|one| one["offset"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [last, next], "all that came after its position, and nothing twice");
    assert_eq!(Chat::personal(&new, Some(&own)).await["recovered"], true);
    assert_eq!(http::post(&new, "/api/auth/login", &http::account()), 200);
    assert!(http::get(&new, "ann", &file) == (200, bytes), "the upload is another one");
    assert_eq!(again.history().await, told);
    new.terminate();
    assert_eq!(new.wait_end(START).code(), Some(0));

    // Rows that are made of the topic alone are the rows that were moved.
    let anew = engines.database("anew");
    let mut rebuilt = serve(&folder.join("rebuilt"), &engines.sections("first", &anew));
    rebuilt.terminate();
    assert_eq!(rebuilt.wait_end(START).code(), Some(0));
    let (rows, expected) = (engines.rows(&database), engines.rows(&anew));
    assert!(rows.iter().filter(|(_, rows)| !rows.starts_with("0 ")).count() >= 9, "{rows:?}");
    assert_eq!(rows, expected);

    // The way back: the folder is what it was, and nobody takes it for what went on elsewhere.
    let (code, out) = kervan(&["graduate", "--back"], &[], Some(&old.data));
    assert!(code == 0 && out.contains("clients begin anew"), "{code}: {out}");
    old.restart();
    old.wait_ready(START);
    let again = chat.again(&old).await;
    told.pop();
    assert_eq!(again.history().await, told);
    assert_eq!(again.subscribe(&old, Some(&place)).await["recovered"], Value::Null);
    old.kill9();
    // It would be another journal now.
    let (code, out) = graduate.run(&["--dry-run"]);
    assert!(
        code == 2 && out.contains("belong to the journal") && out.contains("has rows of the journal"),
        "{code}: {out}"
    );
}

async fn a_trimmed_journal_keeps_its_offsets_and_no_empty_database_is_filled_from_it(engines: &Engines, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let mut old = start(folder, "[data]\nsegment_size = \"4MiB\"\njournal_retention = \"1ms\"\n");
    let chat = Chat::open(&old).await;
    for n in 0..300 {
        chat.send(n, &"x".repeat(30_000)).await.unwrap();
    }
    assert!(chat.lists_its_room().await, "the store has it all");
    let (code, out) = kervan(&["backup"], &[&folder.join("backup")], Some(&old.data));
    assert_eq!(code, 0, "{out}");
    assert_ne!(segments(&old.data)[0], 1, "it is trimmed");
    for n in 300..310 {
        chat.send(n, "after").await.unwrap();
    }
    let (told, place) = (chat.acked(), position(&chat.subscribe(&old, None).await));
    old.kill9();

    let database = engines.database("trimmed");
    let sections = engines.sections("trimmed", &database);
    let graduate = Graduate::new(&old.data, &folder.join("new"), &sections);
    let (code, out) = graduate.run(&["--dry-run"]);
    assert!(code == 0 && out.contains("empty records stand in"), "{code}: {out}");
    let said = tokio::task::block_in_place(|| graduate.killed_after("records", Duration::ZERO));
    assert!(!said.contains("moved;"), "{said}");
    let (code, out) = graduate.run(&[]);
    assert!(code == 0 && out.contains("moved;"), "{code}: {out}");

    let mut new = serve(&folder.join("new"), &sections);
    let again = chat.again(&new).await;
    assert_eq!(again.history().await, told);
    assert_eq!(again.send(3, "again").await.unwrap(), told[3].1, "a duplicate");
    again.send(310, "new").await.unwrap();
    let reply = again.subscribe(&new, Some(&place)).await;
    assert_eq!((&reply["recovered"], reply["publications"].as_array().unwrap().len()), (&json!(true), 1), "{reply}");
    new.terminate();
    assert_eq!(new.wait_end(START).code(), Some(0));

    let empty = engines.database("empty");
    let other = Graduate::new(&old.data, &folder.join("other"), &engines.sections("trimmed", &empty));
    let path: &Path = &other.to;
    let (code, out) = kervan(&["serve", "--port", "0", "--config"], &[path], None);
    assert!(code != 0 && out.contains("the journal was trimmed beyond this store"), "exit code {code}: {out}");
}
