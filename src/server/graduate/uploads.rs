//! The bytes of uploads, from the folder into the folder or bucket of the target, each compared by its hash.

use sha2::{Digest as _, Sha256};

use super::super::storage::Storage;
use super::{GraduateError, Told};
use crate::config::Config;
use crate::storage::uploads::{Objects, Part, Upload, UploadRows};

/// Where a configuration keeps uploads, in words.
pub(super) fn place(config: &Config) -> String {
    match &config.uploads.s3_bucket {
        Some(bucket) => {
            let at = config.uploads.s3_endpoint.as_deref().unwrap_or(&config.uploads.s3_region);
            format!("the bucket {bucket} at {at}")
        }
        None => config.upload_folder().display().to_string(),
    }
}

/// Copies what is not there yet. What the source has lost is not there either, and `told` hears of it.
///
/// # Errors
/// What was written does not come back as it was; one of the two places does not answer.
pub(super) async fn copy(source: &Storage, from: &Config, to: &Config, told: Told<'_>) -> Result<(), GraduateError> {
    if place(from) == place(to) {
        return Ok(());
    }
    let here = Objects::open(&from.uploads, &from.upload_folder())?;
    let there = Objects::open(&to.uploads, &to.upload_folder())?;
    for upload in UploadRows::new(source.connections.clone()).list().await? {
        carry(&upload, Part::File, &here, &there, told).await?;
        if upload.thumbnail {
            carry(&upload, Part::Thumbnail, &here, &there, told).await?;
        }
    }
    Ok(())
}

async fn carry(
    upload: &Upload,
    part: Part,
    here: &Objects,
    there: &Objects,
    told: Told<'_>,
) -> Result<(), GraduateError> {
    let Some(bytes) = here.whole(upload, part).await? else {
        told(&format!("  the upload {} has lost its bytes ({part:?}): it has none over there either", upload.id));
        return Ok(());
    };
    let wanted = Sha256::digest(&bytes);
    let is_there = |found: Option<bytes::Bytes>| found.is_some_and(|found| Sha256::digest(&found) == wanted);
    if is_there(there.whole(upload, part).await?) {
        return Ok(());
    }
    there.put(upload.chat, upload.id, part, bytes).await?;
    if is_there(there.whole(upload, part).await?) {
        return Ok(());
    }
    Err(GraduateError::Differs(format!("the upload {} does not come back as it was written", upload.id)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::config::{Secret, Uploads};
    use crate::ids::{RoomId, Timestamp, UserId};

    fn upload(number: u128) -> Upload {
        Upload {
            id: Uuid::from_u128(number),
            chat: RoomId(Uuid::from_u128(7)),
            user: UserId::new("ann").unwrap(),
            name: "a".to_owned(),
            media_type: "text/plain".to_owned(),
            size: 5,
            pixels: None,
            thumbnail: true,
            created_at: Timestamp(1),
        }
    }

    /// What is missing, damaged or there already over there is what it is here afterwards; what is lost here is told.
    async fn are_carried_over(here: &Objects, there: &Objects) {
        let told = Mutex::new(Vec::new());
        let tell = |line: &str| told.lock().unwrap().push(line.to_owned());
        let (file, lost) = (upload(1), upload(2));
        here.put(file.chat, file.id, Part::File, Bytes::from_static(b"bytes")).await.unwrap();
        here.put(file.chat, file.id, Part::Thumbnail, Bytes::from_static(b"small")).await.unwrap();
        there.put(file.chat, file.id, Part::Thumbnail, Bytes::from_static(b"sm")).await.unwrap();
        for _ in 0..2 {
            for part in [Part::File, Part::Thumbnail] {
                carry(&file, part, here, there, &tell).await.unwrap();
            }
            for (part, bytes) in [(Part::File, "bytes"), (Part::Thumbnail, "small")] {
                assert_eq!(there.whole(&file, part).await.unwrap().as_deref(), Some(bytes.as_bytes()));
            }
        }
        carry(&lost, Part::File, here, there, &tell).await.unwrap();
        assert_eq!(there.whole(&lost, Part::File).await.unwrap(), None);
        let told = told.into_inner().unwrap();
        assert!(told.len() == 1 && told[0].contains(&lost.id.to_string()), "{told:?}");
    }

    #[tokio::test]
    async fn uploads_are_carried_into_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Objects::open(&Uploads::default(), &folder.path().join(name)).unwrap();
        are_carried_over(&open("here"), &open("there")).await;
    }

    /// Against the S3 that `tests/s3/run` starts and names in the environment; run by it alone.
    #[tokio::test]
    #[ignore = "takes a server: tests/s3/run"]
    async fn s3_takes_the_uploads_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let key = Some(Secret::new("testing"));
        let config = Uploads {
            s3_bucket: Some("graduate".to_owned()),
            s3_endpoint: Some(std::env::var("KERVAN_TEST_S3").expect("the address of an S3")),
            s3_access_key: key.clone(),
            s3_secret_key: key,
            ..Uploads::default()
        };
        let here = Objects::open(&Uploads::default(), folder.path()).unwrap();
        are_carried_over(&here, &Objects::open(&config, folder.path()).unwrap()).await;
    }
}
