//! What would be moved, how long that takes, and what stands against it. Changes nothing.

use std::time::Duration;

use super::super::storage::Storage;
use super::plan::{self, Step, Target};
use super::seal::{Destination, Seal};
use super::{GraduateError, Graduation, records, uploads};
use crate::ids::Offset;
use crate::storage::journal::Bounds;
use crate::storage::journal::kafka::load;
use crate::storage::sql::transfer;
use crate::storage::uploads::UploadRows;

/// What two busy cores were seen to do in a second with a program that was not optimised, brokers and database on them as well,
/// and everything compared: records, rows. An empty record costs no more than one that is copied and not compared. Bytes of
/// uploads are what a slow disk takes.
const RECORDS: u64 = 8_000;
const FILLERS: u64 = 18_000;
const ROWS: u64 = 5_500;
const BYTES: u64 = 20 * 1024 * 1024;

/// See the module.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What would be moved, where to, and how long it takes; for people.
    pub lines: Vec<String>,
    /// What stands against it, one sentence each; nothing if it can be done.
    pub against: Vec<String>,
}

impl Graduation {
    pub(super) async fn look(&self, source: &Storage) -> Result<Survey, GraduateError> {
        let (id, seal) = (source.maintenance.id(), Seal::load(&self.source.data.dir)?);
        let found = load::look(&self.kafka).await?;
        let names = transfer::names(&source.connections).await?;
        let rows = transfer::look(&self.target.database(), &self.target.store, &names).await?;
        let target = Target {
            journal: found.journal,
            records: found.bounds.iter().map(|bounds| bounds.end.0).sum(),
            is_loading: found.is_loading,
            wrong: found.wrong,
            rows_of: rows.journal,
            has_rows: rows.has_rows,
            reads_only: rows.reads_only,
        };
        let is_moved = seal.as_ref().is_some_and(Seal::is_moved);
        let mut against = target.refusals(id, is_moved);
        let to = self.destination();
        if let Some(seal) = &seal {
            if seal.to != to {
                let Destination { journal, rows, uploads } = &seal.to;
                against.push(format!(
                    "it is moved to {journal}, {rows}, {uploads} already: name the same, or take it back (--back)"
                ));
            }
            if seal.journal != id {
                against.push(format!("the journal that is moved is {}, and here lies {id}", seal.journal));
            }
        }

        let (mut copied, mut fillers) = (0, 0);
        for (partition, held) in records::bounds(&*source.journal) {
            let there = found.bounds.get(partition.index()).copied();
            let there = there.unwrap_or(Bounds { start: Offset::ZERO, end: Offset::ZERO });
            match plan::rest(partition, held, there) {
                Ok(rest) => (copied, fillers) = (copied + rest.records(), fillers + rest.fillers),
                Err(_) if is_moved => {}
                Err(misplaced) => against.push(format!("{misplaced}: remove the topic, or name another one")),
            }
        }
        let tables = transfer::counts(&source.connections).await?;
        let files = UploadRows::new(source.connections.clone()).list().await?;
        let (row_count, bytes) =
            (tables.iter().map(|(_, rows)| rows).sum::<u64>(), files.iter().map(|file| file.size).sum::<u64>());
        let stays = uploads::place(&self.source) == uploads::place(&self.target);
        let bytes = if stays { 0 } else { bytes };
        if let (None, Some(free)) = (&self.target.uploads.s3_bucket, free(&self.target.upload_folder()))
            && free < bytes
        {
            let folder = self.target.upload_folder();
            against.push(format!("{} has {free} bytes left, and the uploads are {bytes}", folder.display()));
        }
        let seconds = copied / RECORDS + fillers / FILLERS + row_count / ROWS + bytes / BYTES;
        let mut lines = vec![
            format!("journal {id} -> {}: {copied} records to copy", to.journal),
            format!("rows -> {}: {row_count} in {} tables", to.rows, tables.len()),
        ];
        if fillers > 0 {
            lines.insert(
                1,
                format!("the journal is trimmed: {fillers} empty records stand in for what is gone, and are deleted"),
            );
        }
        lines.extend(tables.iter().map(|(table, rows)| format!("  {table:<24} {rows:>12}")));
        lines.push(match stays {
            true => format!("uploads stay where they are, {}: {}", to.uploads, files.len()),
            false => format!("uploads -> {}: {} with {bytes} bytes, and thumbnails", to.uploads, files.len()),
        });
        let done = seal.and_then(|seal| seal.done);
        lines.push(match (done, Step::after(done)) {
            (None, _) => format!("takes about {}", humantime::format_duration(Duration::from_secs(seconds + 10))),
            (Some(done), Some(next)) => format!("done up to: {done}; goes on with: {next}"),
            (Some(_), None) => "all of it is done".to_owned(),
        });
        Ok(Survey { lines, against })
    }
}

/// Bytes that are free where a folder is, or will be.
fn free(folder: &std::path::Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let facts = rustix::fs::statvfs(there).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}
