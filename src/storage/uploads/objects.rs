//! The bytes of uploads, in a folder or in S3, under names that are made of ids alone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _};
use uuid::Uuid;

use super::{Upload, UploadError};
use crate::config;
use crate::http_client;
use crate::ids::{RoomId, Timestamp};

/// Which bytes of an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// The file as it came.
    File,
    /// Its thumbnail.
    Thumbnail,
}

/// For S3 to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// For S3 to take a request, and then between two pieces of its answer.
const SILENCE: Duration = Duration::from_secs(30);

/// The program's HTTP client, handed to the object store as it is.
#[derive(Debug)]
struct Shared(reqwest::Client);

impl HttpConnector for Shared {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// Bytes as they come.
pub(crate) type Stream = BoxStream<'static, Result<Bytes, UploadError>>;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
}

impl Objects {
    /// As configured: `folder` unless a bucket is named. The folder is made.
    ///
    /// # Errors
    /// The folder can't be made, or the settings of S3 do not fit together. Whether the bucket is there shows when it is used.
    pub(crate) fn open(config: &config::Uploads, folder: &std::path::Path) -> Result<Self, UploadError> {
        let store: Arc<dyn ObjectStore> = match &config.s3_bucket {
            Some(bucket) => {
                let client = http_client::client(|client| client.connect_timeout(CONNECT).read_timeout(SILENCE))
                    .map_err(|error| UploadError::Objects(error.to_string()))?;
                let mut builder = AmazonS3Builder::new()
                    .with_http_connector(Shared(client))
                    .with_bucket_name(bucket)
                    .with_region(&config.s3_region)
                    .with_allow_http(config.s3_endpoint.as_deref().is_some_and(|url| url.starts_with("http://")));
                if let Some(url) = &config.s3_endpoint {
                    builder = builder.with_endpoint(url);
                }
                if let (Some(key), Some(secret)) = (&config.s3_access_key, &config.s3_secret_key) {
                    builder = builder.with_access_key_id(key.expose()).with_secret_access_key(secret.expose());
                }
                Arc::new(builder.build().map_err(failed)?)
            }
            None => {
                crate::storage::disk::make_private(folder)
                    .map_err(|error| UploadError::Objects(format!("{}: {error}", folder.display())))?;
                Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(failed)?.with_fsync(true))
            }
        };
        Ok(Self { store })
    }

    /// Writes bytes whole, or not at all.
    ///
    /// # Errors
    /// No room, or the store can't be reached; so for each of the following.
    pub(crate) async fn put(&self, chat: RoomId, id: Uuid, part: Part, bytes: Bytes) -> Result<(), UploadError> {
        self.store.put(&path(chat, id, part), bytes.into()).await.map_err(failed)?;
        Ok(())
    }

    /// Reads bytes as they come, with how many there are.
    pub(crate) async fn get(&self, upload: &Upload, part: Part) -> Result<(u64, Stream), UploadError> {
        let found = self.store.get(&path(upload.chat, upload.id, part)).await.map_err(failed)?;
        Ok((found.meta.size, found.into_stream().map_err(failed).boxed()))
    }

    /// All bytes at once, if they are there: for whoever carries them elsewhere. They are as many as an upload may have.
    pub(crate) async fn whole(&self, upload: &Upload, part: Part) -> Result<Option<Bytes>, UploadError> {
        match self.store.get(&path(upload.chat, upload.id, part)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Deletes the bytes of an upload; what is not there is deleted.
    pub(crate) async fn delete(&self, chat: RoomId, id: Uuid) -> Result<(), UploadError> {
        for part in [Part::File, Part::Thumbnail] {
            match self.store.delete(&path(chat, id, part)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Objects that were written before `before`, by chat and id.
    pub(crate) fn older(&self, before: Timestamp) -> BoxStream<'static, Result<(RoomId, Uuid), UploadError>> {
        let all = self.store.list(None).map_err(failed);
        all.try_filter_map(move |object| async move {
            let old = u64::try_from(object.last_modified.timestamp_millis()).is_ok_and(|at| at < before.0);
            Ok(ids(&object.location).filter(|_| old))
        })
        .boxed()
    }
}

fn path(chat: RoomId, id: Uuid, part: Part) -> Path {
    let suffix = if part == Part::Thumbnail { ".thumbnail" } else { "" };
    Path::from(format!("{}/{id}{suffix}", chat.0))
}

fn ids(path: &Path) -> Option<(RoomId, Uuid)> {
    let (chat, file) = path.as_ref().split_once('/')?;
    let id = file.strip_suffix(".thumbnail").unwrap_or(file);
    Some((RoomId(Uuid::try_parse(chat).ok()?), Uuid::try_parse(id).ok()?))
}

/// The text may name the folder or the bucket, and never a secret.
fn failed(error: object_store::Error) -> UploadError {
    UploadError::Objects(error.to_string())
}
