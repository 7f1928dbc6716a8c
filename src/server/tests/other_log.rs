//! Rows beside a journal that is not theirs, though it has the same name and reaches as far.

use super::*;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Sends so many messages, and ends when they are stored.
async fn sends(data: &Path, room: RoomId, text: &str, count: usize) {
    let (rig, user) = (Rig::with(data, |_| ()).await, UserId::new("alice").unwrap());
    for _ in 0..count {
        let message = json!({ "room": room.to_string(), "body": text });
        within("an answer", call(&rig.handlers, &user, "message.send", &message)).await.unwrap();
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_another_history_of_the_same_journal_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    let (rig, user) = (Rig::with(&one, |_| ()).await, UserId::new("alice").unwrap());
    let room = group_of(&rig, &user).await;
    rig.end().await;
    copy(&one, &other);
    sends(&one, room, "one", 3).await;
    sends(&other, room, "other", 5).await;
    // Their own rows are taken.
    sends(&other, room, "other", 1).await;

    for file in ["kervan.db", "kervan.db-wal", "kervan.db-shm"] {
        // One that is not there need not go.
        let _ = std::fs::remove_file(other.join(file));
        if one.join(file).exists() {
            std::fs::copy(one.join(file), other.join(file)).unwrap();
        }
    }
    let mut config = Config::default();
    config.data.dir = other;
    let deps = Deps {
        config: Arc::new(config),
        env: Env::system(),
        health: Health::new(Shutdown::new()),
        metrics: Arc::new(Metrics::new()),
        shutdown: Shutdown::new(),
    };
    let refused = within("it answers", Engine::start(deps)).await.err().expect("it is refused");
    assert!(refused.is_refusal());
    let said = refused.to_string();
    // The room's, or one of the user's.
    assert!(
        said.contains("is not the one that the rows were made from: record ") && said.contains(" of partition "),
        "{said}"
    );
}
