//! What a crash leaves is swept, and nothing else.

use futures_util::FutureExt as _;

use super::*;
use crate::config::Database;
use crate::env::{ManualClock, SystemIds};
use crate::storage::sql::Connections;

#[tokio::test]
async fn files_of_one_user_leave_places_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let (uploads, _, _) = fresh(&dir).await;
    let [bob, ann] = ["bob", "ann"].map(|name| UserId::new(name).unwrap());
    let first = uploads.admit(&bob).await;
    let _second = uploads.admit(&bob).await;
    let mut third = Box::pin(uploads.admit(&bob));
    assert!(third.as_mut().now_or_never().is_none(), "he has what one may have");
    assert!(uploads.admit(&ann).await.is_some(), "another one has a place at once");
    drop(first);
    assert!(third.await.is_some());
}

async fn fresh(dir: &tempfile::TempDir) -> (Uploads, Objects, Arc<ManualClock>) {
    let path = dir.path().join("kervan.db");
    let rows = UploadRows::new(Connections::open(&Database::Sqlite(path)).await.unwrap());
    let config = Config::default();
    let objects = Objects::open(&config.uploads, &dir.path().join("uploads")).unwrap();
    let clock = Arc::new(ManualClock::new(Env::system().now()));
    let env = Env { clock: clock.clone(), ids: Arc::new(SystemIds) };
    (Uploads::new(rows, objects.clone(), env, &config), objects, clock)
}

#[tokio::test]
async fn bytes_without_a_row_are_swept_once_they_are_old() {
    let dir = tempfile::tempdir().unwrap();
    let (uploads, objects, clock) = fresh(&dir).await;
    let (chat, user) = (RoomId(Uuid::from_u128(7)), UserId::new("ann").unwrap());
    let file = Incoming { chat, user, name: "a".to_owned(), bytes: Bytes::from_static(b"kept") };
    let kept = uploads.take(file).await.unwrap();
    objects.put(chat, Uuid::from_u128(9), Part::File, Bytes::from_static(b"half done")).await.unwrap();
    assert_eq!(uploads.sweep().await.unwrap(), 0, "its row may be about to come");
    clock.advance(2 * ORPHAN_MS);
    assert_eq!(uploads.sweep().await.unwrap(), 1);
    assert_eq!(uploads.sweep().await.unwrap(), 0);
    assert_eq!(uploads.read(&kept, Part::File).await.unwrap().0, 4);
}
