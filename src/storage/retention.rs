//! Backups of a store and a journal in use, and the trimming that they allow (I7).
//!
//! The journal is cut only behind what a finished backup covers and the live store has on disk: loss of the store can then
//! be made good by that backup or any younger one. Which backup counts stands as a note in the store itself, so that a
//! store that was built anew or restored never knows of a backup that is younger than it is. Of a journal in Kafka it is what
//! its control topic says: the copy of the database that was marked last.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use uuid::Uuid;

pub(crate) use self::note::Covered;
#[cfg(test)]
pub(crate) use self::note::Holder;
use self::note::Note;
use super::backup::{self, BackupError, Manifest};
use super::journal::JournalError;
use super::journal::maintenance::{Maintenance, Marks};
use super::notifications::outbox::NotificationOutbox;
use super::store::{Store, StoreError};
use crate::env::Env;
use crate::ids::{Offset, Partition, Timestamp, millis};

mod note;

/// The store's note of the last finished backup.
const NOTE: &str = "backup";
/// The store's note of the journal that it is made from.
const JOURNAL: &str = "journal";

/// See the module.
pub(crate) struct Retention {
    journal: Maintenance,
    store: Arc<dyn Store>,
    env: Env,
    keep: Option<Duration>,
    /// Reads the journal by cursors of its own.
    notified: Option<NotificationOutbox>,
    /// When the last backup was taken; 0 if there is none.
    last: AtomicU64,
    /// Nothing could be trimmed, because no backup is marked: that was said.
    lacks_mark: AtomicBool,
    /// How far each partition was covered at the last look, by number; empty if nothing is.
    covered: RwLock<Vec<Covered>>,
    /// Held by a backup and by a trim: a trim between the copies of store and journal would tear them apart.
    turn: Mutex<()>,
}

/// Checks that the store is made from this journal and from no other one, whose offsets may fit by chance; a store that does
/// not know yet learns it.
///
/// # Errors
/// [`StoreError::Incompatible`] if it is made from another one; or the store does not answer.
pub(crate) async fn same_journal(store: &dyn Store, journal: Uuid) -> Result<(), StoreError> {
    let own = journal.to_string();
    match store.meta(JOURNAL).await? {
        Some(known) if known == own => Ok(()),
        Some(other) => {
            let why = format!(
                "it is made from the journal {other}, and here lies {own}: bring back the one that belongs to it"
            );
            Err(StoreError::Incompatible(why))
        }
        None => of_journal(store, journal).await,
    }
}

/// Tells a store that it is made from this journal, whatever it knew.
///
/// # Errors
/// The store does not answer.
pub(crate) async fn of_journal(store: &dyn Store, journal: Uuid) -> Result<(), StoreError> {
    store.set_meta(JOURNAL, &journal.to_string()).await
}

impl Retention {
    /// `keep`: how long records stay in the journal after a backup has them; `None` for ever.
    #[must_use]
    pub(crate) fn new(journal: Maintenance, store: Arc<dyn Store>, env: Env, keep: Option<Duration>) -> Self {
        Self {
            journal,
            store,
            env,
            keep,
            notified: None,
            last: AtomicU64::new(0),
            lacks_mark: AtomicBool::new(false),
            covered: RwLock::default(),
            turn: Mutex::default(),
        }
    }

    /// The same, that keeps what nobody was notified of yet.
    #[must_use]
    pub(crate) fn behind(self, notified: NotificationOutbox) -> Self {
        Self { notified: Some(notified), ..self }
    }

    /// Looks up when the last backup was taken.
    ///
    /// # Errors
    /// The store or the journal do not answer.
    pub(crate) async fn remember(&self) -> Result<(), BackupError> {
        self.newest().await.map(drop)
    }

    /// What the backup has that counts.
    async fn newest(&self) -> Result<Option<Note>, BackupError> {
        let journal = self.journal.clone();
        let marks = tokio::task::spawn_blocking(move || journal.newest_mark()).await;
        let note = match marks.map_err(|panic| JournalError::Io(format!("the mark was not read: {panic}")))?? {
            Marks::Marked(mark) => mark.map(|mark| Note { taken_at: mark.marked_at, watermarks: mark.watermarks }),
            Marks::Noted => {
                let Some(text) = self.store.meta(NOTE).await? else { return Ok(None) };
                let note = serde_json::from_str::<Note>(&text).ok();
                if note.is_none() {
                    tracing::warn!("the note of the last backup can't be read: nothing is trimmed until the next one");
                }
                note
            }
        };
        if let Some(note) = &note {
            self.last.fetch_max(note.taken_at.0, Ordering::Relaxed);
        }
        Ok(note)
    }

    /// When the last backup was taken, as far as the store knows.
    #[must_use]
    pub(crate) fn last_backup(&self) -> Option<Timestamp> {
        Some(Timestamp(self.last.load(Ordering::Relaxed))).filter(|at| *at > Timestamp::ZERO)
    }

    /// How far nobody needed the partition's records any more when it was looked last. `None`: nothing is to be trimmed, or there is no
    /// backup.
    #[must_use]
    pub(crate) fn covered(&self, partition: Partition) -> Option<Covered> {
        self.covered.read().unwrap_or_else(PoisonError::into_inner).get(partition.index()).copied()
    }

    /// Whether anything is to be trimmed.
    #[must_use]
    pub(crate) fn trims(&self) -> bool {
        self.keep.is_some()
    }

    /// Writes a backup into `dir`, which must be empty or not there, and notes that it covers the journal. One at a time.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub(crate) async fn backup(&self, dir: &Path) -> Result<Manifest, BackupError> {
        let _turn = self.turn.lock().await;
        let manifest = backup::take(self.journal.clone(), &*self.store, dir, self.env.now()).await?;
        if !manifest.holds_rows() {
            // Of the copy of the database that belongs to it nothing is known here: nothing is trimmed behind it.
            self.last.fetch_max(manifest.taken_at.0, Ordering::Relaxed);
            return Ok(manifest);
        }
        let note = Note { taken_at: manifest.taken_at, watermarks: manifest.watermarks.clone() };
        let noted = match serde_json::to_string(&note) {
            Ok(text) => self.store.set_meta(NOTE, &text).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = noted {
            // The backup is good all the same; only the journal stays longer.
            tracing::warn!(error, "the backup could not be noted: nothing is trimmed for it");
        }
        self.last.fetch_max(manifest.taken_at.0, Ordering::Relaxed);
        Ok(manifest)
    }

    /// Gives up what of the journal is covered and old enough. Returns how many segments or partitions that concerns; 0 if nothing
    /// is to be trimmed at all.
    ///
    /// # Errors
    /// The store or the journal do not answer. What is still needed is there in any case.
    pub(crate) async fn trim(&self) -> Result<usize, BackupError> {
        let _turn = self.turn.lock().await;
        // Asked for also if nothing is to go: backups are marked by other processes.
        let newest = self.newest().await?;
        let Some(keep) = self.keep else { return Ok(0) };
        let Some(note) = newest else {
            if !self.lacks_mark.swap(true, Ordering::Relaxed) {
                tracing::warn!("there is no backup: nothing of the journal is trimmed until there is one");
            }
            return Ok(0);
        };
        self.lacks_mark.store(false, Ordering::Relaxed);
        // After a power cut the store stands where it was flushed last, and the journal must reach back to there.
        let flushed = self.store.flush().await?;
        let cursors = match &self.notified {
            Some(notified) => Some(notified.cursors().await?),
            None => None,
        };
        // There is none as long as nobody was ever to be notified.
        let cursors = cursors.filter(|cursors| !cursors.is_empty());
        let covers = note.covers(&flushed, cursors.as_deref());
        let covered: Vec<Offset> = covers.iter().map(|covered| covered.up_to).collect();
        *self.covered.write().unwrap_or_else(PoisonError::into_inner) = covers;
        let keep_ms = millis(keep);
        let before = Timestamp(self.env.now().0.saturating_sub(keep_ms));
        let journal = self.journal.clone();
        let trimmed = tokio::task::spawn_blocking(move || journal.trim_covered(&covered, before)).await;
        let trimmed = trimmed.map_err(|panic| JournalError::Io(format!("trimming did not finish: {panic}")))??;
        if trimmed > 0 {
            tracing::info!(pieces = trimmed, backup = note.taken_at.0, "the journal is trimmed behind the last backup");
        }
        Ok(trimmed)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::env::{ManualClock, SystemIds};
    use crate::storage::journal::Journal as _;
    use crate::storage::journal::embedded::{EmbeddedJournal, Options};
    use crate::storage::store::contract::moved;
    use crate::storage::store::sql::SqlStore;

    struct Rig {
        folder: tempfile::TempDir,
        journal: Arc<EmbeddedJournal>,
        clock: Arc<ManualClock>,
    }

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn partition() -> Partition {
        Partition::FIRST
    }

    impl Rig {
        /// A journal of 200 records in small segments.
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
            let mut options = Options::new(Env { clock: clock.clone(), ids: Arc::new(SystemIds) });
            (options.segment_bytes, options.prepare_ahead) = (16 * 1024, false);
            let (journal, _) = EmbeddedJournal::open(&folder.path().join("journal"), options).unwrap();
            for _ in 0..200 {
                journal.append(partition(), vec![Bytes::from(vec![7; 300])]).await.unwrap();
            }
            Self { folder, journal: Arc::new(journal), clock }
        }

        async fn store(&self, name: &str, stored: u64) -> Arc<SqlStore> {
            let store = SqlStore::open_file(&self.folder.path().join(name)).await.unwrap();
            store.commit(moved(partition(), 0, stored)).await.unwrap();
            Arc::new(store)
        }

        fn retention(&self, store: &Arc<SqlStore>, keep: Option<Duration>) -> Retention {
            let env = Env { clock: self.clock.clone(), ids: Arc::new(SystemIds) };
            Retention::new(self.journal.maintenance().into(), Arc::clone(store) as _, env, keep)
        }

        fn start(&self) -> u64 {
            self.journal.bounds(partition()).start.0
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_trimmed_without_a_wish_a_backup_and_age() {
        let rig = Rig::new().await;
        let store = rig.store("a.db", 200).await;
        let (keeps, trims) = (rig.retention(&store, None), rig.retention(&store, Some(DAY)));
        rig.clock.advance(2 * 24 * 60 * 60 * 1000);
        assert_eq!(trims.trim().await.unwrap(), 0, "no backup");
        let failed = trims.backup(rig.folder.path()).await.unwrap_err();
        assert!(matches!(failed, BackupError::NotEmpty { .. }) && trims.trim().await.unwrap() == 0, "none was made");
        keeps.backup(&rig.folder.path().join("backup")).await.unwrap();
        assert_eq!(keeps.trim().await.unwrap(), 0, "not asked for");
        rig.clock.set(Timestamp(1_001));
        assert_eq!((trims.trim().await.unwrap(), rig.start()), (0, 0), "too young");
        rig.clock.advance(24 * 60 * 60 * 1000);
        assert!(trims.trim().await.unwrap() > 3 && rig.start() > 150);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_trim_goes_no_further_than_the_backup_and_no_further_than_the_live_store() {
        let rig = Rig::new().await;
        rig.clock.advance(1);
        let store = rig.store("a.db", 100).await;
        let retention = rig.retention(&store, Some(Duration::ZERO));
        retention.backup(&rig.folder.path().join("backup")).await.unwrap();
        store.commit(moved(partition(), 100, 200)).await.unwrap();
        // After a power cut the database may stand before its own backup.
        let fallen = rig.store("b.db", 50).await;
        fallen.set_meta(NOTE, &store.meta(NOTE).await.unwrap().unwrap()).await.unwrap();
        rig.retention(&fallen, Some(Duration::ZERO)).trim().await.unwrap();
        assert!((17..=50).contains(&rig.start()), "{}", rig.start());
        retention.trim().await.unwrap();
        assert!((67..=100).contains(&rig.start()), "{}", rig.start());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_last_backup_is_remembered_by_the_store() {
        let rig = Rig::new().await;
        let store = rig.store("a.db", 100).await;
        let (before, after) = (rig.retention(&store, None), rig.retention(&store, None));
        before.remember().await.unwrap();
        assert_eq!(before.last_backup(), None);
        before.backup(&rig.folder.path().join("backup")).await.unwrap();
        assert_eq!((before.last_backup(), after.last_backup()), (Some(Timestamp(1_000)), None));
        after.remember().await.unwrap();
        assert_eq!(after.last_backup(), Some(Timestamp(1_000)));
    }

    #[tokio::test]
    async fn a_store_knows_its_journal() {
        let rig = Rig::new().await;
        let store = rig.store("a.db", 100).await;
        for _ in 0..2 {
            same_journal(&*store, rig.journal.maintenance().id()).await.unwrap();
        }
        let other = same_journal(&*store, Uuid::from_u128(7)).await.unwrap_err().to_string();
        assert!(other.contains(&rig.journal.maintenance().id().to_string()) && other.contains("0007"), "{other}");
    }
}
