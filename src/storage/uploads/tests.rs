//! Rows with their quota; bytes with their order.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::*;
use crate::config;
use crate::storage::sql::{Connections, support};

fn upload(number: u128, user: &str, size: u64) -> Upload {
    Upload {
        id: Uuid::from_u128(number),
        chat: RoomId(Uuid::from_u128(7)),
        user: UserId::new(user).unwrap(),
        name: "camel.png".to_owned(),
        media_type: "image/png".to_owned(),
        size,
        pixels: Some((640, 480)),
        thumbnail: true,
        created_at: Timestamp(5),
    }
}

fn bytes(bytes: u64) -> Quota {
    Quota { bytes, files: u64::MAX }
}

async fn a_row_is_read_as_it_was_written_and_removed_once(connections: &Connections) {
    let rows = UploadRows::new(connections.clone());
    let (image, plain) = (upload(1, "ann", 10), Upload { pixels: None, thumbnail: false, ..upload(2, "ann", 3) });
    for upload in [&image, &plain] {
        rows.add(upload, bytes(100)).await.unwrap();
        assert_eq!(rows.get(upload.id).await.unwrap().as_ref(), Some(upload));
    }
    assert_eq!(rows.used(&image.user).await.unwrap(), Quota { bytes: 13, files: 2 });
    assert!(rows.remove(image.id).await.unwrap());
    assert!(!rows.remove(image.id).await.unwrap());
    assert_eq!(rows.get(image.id).await.unwrap(), None);
}

async fn of_many_at_once_none_passes_the_quota(connections: &Connections) {
    let rows = UploadRows::new(connections.clone());
    let all = (0..8).map(|number| {
        let rows = rows.clone();
        tokio::spawn(async move { rows.add(&upload(number, "ann", 30), bytes(100)).await })
    });
    let mut added = 0;
    for one in all.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(()) => added += 1,
            Err(error) => assert_eq!(error, UploadError::Quota),
        }
    }
    assert_eq!(added, 3);
    rows.add(&upload(9, "bob", 100), bytes(100)).await.unwrap();
    assert_eq!(rows.add(&upload(10, "bob", 1), bytes(100)).await, Err(UploadError::Quota));
    let two = Quota { bytes: 100, files: 2 };
    for (number, result) in [(20, Ok(())), (21, Ok(())), (22, Err(UploadError::Quota))] {
        assert_eq!(rows.add(&upload(number, "cat", 1), two).await, result, "small ones are counted, too");
    }
}

support::sql_suite!(
    a_row_is_read_as_it_was_written_and_removed_once
    of_many_at_once_none_passes_the_quota
);

/// What holds for each object store.
async fn contract(objects: &Objects) {
    let file = upload(1, "ann", 5);
    objects.put(file.chat, file.id, Part::File, Bytes::from_static(b"bytes")).await.unwrap();
    objects.put(file.chat, file.id, Part::Thumbnail, Bytes::from_static(b"small")).await.unwrap();
    for (part, text) in [(Part::File, "bytes"), (Part::Thumbnail, "small")] {
        let (size, stream) = objects.get(&file, part).await.unwrap();
        let pieces: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!((size, pieces.concat()), (5, text.as_bytes().to_vec()));
        assert_eq!(objects.whole(&file, part).await.unwrap().as_deref(), Some(text.as_bytes()));
    }
    let far = Timestamp(4_000_000_000_000);
    let found: Vec<_> = objects.older(far).try_collect().await.unwrap();
    assert_eq!(found, [(file.chat, file.id), (file.chat, file.id)]);
    let none: Vec<_> = objects.older(Timestamp(1_000)).try_collect().await.unwrap();
    assert_eq!(none, []);
    objects.delete(file.chat, file.id).await.unwrap();
    objects.delete(file.chat, file.id).await.unwrap();
    assert!(matches!(objects.get(&file, Part::File).await, Err(UploadError::Objects(_))));
    assert_eq!(objects.whole(&file, Part::File).await.unwrap(), None);
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract(&Objects::open(&config::Uploads::default(), &dir.path().join("a/b")).unwrap()).await;
}

/// Against the S3 that `tests/s3/run` starts and names in the environment; run by it alone.
#[tokio::test]
#[ignore = "takes a server: tests/s3/run"]
async fn s3_keeps_the_contract() {
    let key = Some(config::Secret::new("testing"));
    let config = config::Uploads {
        s3_bucket: Some("contract".to_owned()),
        s3_endpoint: Some(std::env::var("KERVAN_TEST_S3").expect("the address of an S3")),
        s3_access_key: key.clone(),
        s3_secret_key: key,
        ..config::Uploads::default()
    };
    contract(&Objects::open(&config, std::path::Path::new("unused")).unwrap()).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Objects::open(&config::Uploads::default(), &file.join("sub")).unwrap_err();
    assert!(error.to_string().contains("file/sub"), "{error}");
}
