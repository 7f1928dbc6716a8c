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

async fn carry(upload: &Upload, part: Part, here: &Objects, there: &Objects, told: Told<'_>) -> Result<(), GraduateError> {
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
