//! Backups of a store and a journal in use, and the trimming that they allow (I7).
//!
//! The journal is cut only behind what a finished backup covers and the live store has on disk: loss of the store can then
//! be made good by that backup or any younger one. Which backup counts stands as a note in the store itself, so that a
//! store that was built anew or restored never knows of a backup that is younger than it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::backup::{self, BackupError, Manifest};
use super::journal::JournalError;
use super::journal::embedded::EmbeddedJournal;
use super::store::Store;
use crate::env::Env;
use crate::ids::{Offset, Partition, Timestamp};

/// The store's note of the last finished backup.
const NOTE: &str = "backup";

/// See the module.
pub struct Upkeep {
    journal: Arc<EmbeddedJournal>,
    store: Arc<dyn Store>,
    env: Env,
    retention: Option<Duration>,
    /// Held by a backup and by a trim: a trim between the copies of store and journal would tear them apart.
    turn: Mutex<()>,
}

/// What the note says.
#[derive(Serialize, Deserialize)]
struct Note {
    taken_at: Timestamp,
    watermarks: Vec<Offset>,
}

impl Upkeep {
    /// `retention`: how long records stay in the journal after a backup has them; `None` for ever.
    #[must_use]
    pub fn new(journal: Arc<EmbeddedJournal>, store: Arc<dyn Store>, env: Env, retention: Option<Duration>) -> Self {
        Self { journal, store, env, retention, turn: Mutex::default() }
    }

    /// Writes a backup into `dir`, which must be empty or not there, and notes that it covers the journal. One at a time.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn backup(&self, dir: &Path) -> Result<Manifest, BackupError> {
        let _turn = self.turn.lock().await;
        let manifest = backup::take(Arc::clone(&self.journal), &*self.store, dir, self.env.now()).await?;
        let note = Note { taken_at: manifest.taken_at, watermarks: manifest.watermarks.clone() };
        let noted = match serde_json::to_string(&note) {
            Ok(text) => self.store.set_meta(NOTE, &text).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = noted {
            // The backup is good all the same; only the journal stays longer.
            tracing::warn!(error, "the backup could not be noted: nothing is trimmed for it");
        }
        Ok(manifest)
    }

    /// Gives up the segments of the journal that are covered and old enough. Returns how many went; 0 if nothing is to
    /// be trimmed at all.
    ///
    /// # Errors
    /// The store or the journal do not answer. What is still needed is there in any case.
    pub async fn trim(&self) -> Result<usize, BackupError> {
        let Some(retention) = self.retention else { return Ok(0) };
        let _turn = self.turn.lock().await;
        let Some(text) = self.store.meta(NOTE).await? else { return Ok(0) };
        let Ok(note) = serde_json::from_str::<Note>(&text) else {
            tracing::warn!("the note of the last backup can't be read: nothing is trimmed until the next one");
            return Ok(0);
        };
        // After a power cut the store stands where it was flushed last, and the journal must reach back to there.
        let flushed = self.store.flush().await?;
        let covered: Vec<Offset> = Partition::all()
            .map(|partition| {
                let stored = flushed.iter().find(|row| row.partition == partition).map(|row| row.next_offset);
                let backed_up = note.watermarks.get(partition.index()).copied();
                stored.unwrap_or_default().min(backed_up.unwrap_or_default())
            })
            .collect();
        let retention_ms = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        let before = Timestamp(self.env.now().0.saturating_sub(retention_ms));
        let journal = Arc::clone(&self.journal);
        let trimmed = tokio::task::spawn_blocking(move || journal.trim_covered(&covered, before)).await;
        let trimmed = trimmed.map_err(|panic| JournalError::Io(format!("trimming did not finish: {panic}")))??;
        if trimmed > 0 {
            tracing::info!(
                segments = trimmed,
                backup = note.taken_at.0,
                "the journal is trimmed behind the last backup"
            );
        }
        Ok(trimmed)
    }
}
