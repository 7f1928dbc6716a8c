//! A full disk: sends get a retryable error, nothing acknowledged is lost, and once there is room again everything goes
//! through. On a small tmpfs where this process may mount one, else with files that fill up; and with files that may not
//! grow at all.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checker;
use crate::client::{Answer, Link};
use crate::history::{Entry, Recorder, What};
use crate::reading;
use crate::rooms;
use crate::server::{self, Server, Setup};
use crate::small_disk::SmallDisk;
use crate::sql::Database;

/// Bytes of the small disk.
const DISK_BYTES: u64 = 48 * 1024 * 1024;
/// Bytes of a file that fills up while messages come: of a journal segment, which has 4 MiB here, or of the database.
const FULL_BYTES: u64 = 3 * 1024 * 1024;
/// Every file that matters has more already.
const NOTHING_BYTES: u64 = 4096;
/// How long an answer may take while the disk is full.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the server may need to notice that there is room again.
const RECOVERY: Duration = Duration::from_secs(30);

/// How the disk is made full.
enum Disk {
    /// A small file system of its own, filled by a file.
    Small(SmallDisk),
    /// No file may have more bytes.
    Limit(u64),
}

impl Disk {
    /// A tmpfs on `at`, if this process may mount one. Else files that fill up stand for it, and the output says so.
    #[expect(clippy::print_stderr, reason = "what was tried is part of the result")]
    fn small(at: &Path) -> Self {
        SmallDisk::mount(at, DISK_BYTES).map_or_else(
            |refused| {
                eprintln!("no tmpfs may be mounted here, files of at most {FULL_BYTES} bytes stand for it: {refused}");
                Self::Limit(FULL_BYTES)
            },
            Self::Small,
        )
    }

    fn fill(&self, server: &Server) {
        match self {
            Self::Small(disk) => disk.fill(),
            Self::Limit(bytes) => server.limit_files(Some(*bytes)),
        }
    }

    fn clear(&self, server: &Server) {
        match self {
            Self::Small(disk) => disk.clear(),
            Self::Limit(_) => server.limit_files(None),
        }
    }
}

/// Sends with a client id and takes it down.
async fn send(link: &Link, recorder: &Recorder, room: &str, client_id: &str, text: &str) -> Answer {
    let op = recorder.number();
    let what = What::Send { device: "d".into(), client_id: client_id.into(), text: text.into() };
    recorder.record(Entry::Invoke { op, room: format!("room:{room}"), user: "ann".into(), what });
    let answer = link.rpc("message.send", json!({ "room": room, "client_id": client_id, "body": text })).await;
    recorder.record(match &answer {
        Ok(data) => Entry::Ok {
            op,
            seq: data["seq"].as_u64().unwrap_or(0),
            id: data["id"].as_str().unwrap_or_default().to_owned(),
            duplicate: data.get("duplicate").and_then(Value::as_bool).unwrap_or(false),
        },
        Err(error) if error.is_definite() => Entry::Fail { op, code: error.code() },
        Err(_) => Entry::Unknown { op },
    });
    answer
}

async fn a_full_disk_is_survived(disk: &Disk, folder: &Path) {
    let recorder = Arc::new(Recorder::default());
    let more = "[data]\nsegment_size = \"4MiB\"\n".to_owned();
    let mut server =
        Server::start(folder, Setup { more, files_may_be_limited: matches!(disk, Disk::Limit(_)), ..Setup::default() });
    server.wait_ready(Duration::from_secs(20));
    let rooms = vec![rooms::create(&server.url(), "direct", "ann", &["bob".to_owned()], "").await.unwrap()];
    let room = rooms[0].room.clone().unwrap();
    let link = Link::plain(&server.url(), &server::token("ann")).await.unwrap();
    let text = "x".repeat(8 * 1024);
    for n in 0..20 {
        send(&link, &recorder, &room, &format!("before-{n}"), &text).await.unwrap();
    }

    disk.fill(&server);
    let mut refused = Vec::new();
    for n in 0..2_000 {
        let start = Instant::now();
        let client_id = format!("full-{n}");
        let answer = send(&link, &recorder, &room, &client_id, &text).await;
        assert!(start.elapsed() < ANSWER, "an answer took {:?}: {}", start.elapsed(), server.log_tail());
        if let Err(error) = answer {
            let crate::client::CallError::Server { temporary: true, .. } = error else {
                panic!("not an error to retry after: {error}: {}", server.log_tail());
            };
            refused.push(client_id);
        }
        if refused.len() == 5 {
            break;
        }
    }
    assert_eq!(refused.len(), 5, "the disk is full and nobody notices");

    disk.clear(&server);
    // Pauses: the bound of the wait below.
    let end = Instant::now() + RECOVERY;
    for client_id in &refused {
        while let Err(error) = send(&link, &recorder, &room, client_id, &text).await {
            assert!(Instant::now() < end, "still refused with room on the disk: {error}: {}", server.log_tail());
            // Pauses: between looks, within a bound.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    // What is acknowledged now must also survive: the damage of a full disk shows at the next start.
    drop(link);
    server.kill9();
    server.restart();
    server.wait_ready(Duration::from_secs(20));
    let heads = reading::streams(&server.url(), &rooms, &recorder).await.unwrap();
    let database = Database::open(&server.data).await.unwrap();
    reading::wait_for_rows(&database, &rooms, &heads).await.unwrap();
    reading::rows(&database, &rooms, &recorder).await.unwrap();
    server.terminate();
    assert!(server.wait_end(Duration::from_secs(30)).success(), "{}", server.log_tail());
    let anomalies = checker::check(&recorder.entries());
    assert!(anomalies.is_empty(), "{anomalies:#?}");
}

#[tokio::test]
async fn a_full_file_system_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("disk");
    a_full_disk_is_survived(&Disk::small(&at), &at).await;
}

#[tokio::test]
async fn a_limit_on_files_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    a_full_disk_is_survived(&Disk::Limit(NOTHING_BYTES), folder.path()).await;
}
