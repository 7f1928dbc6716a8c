//! A copy is read from end to end: what an open of a journal in use does not look at, and must not forgive here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::{Verified, renew, segment, verify};
use super::*;
use crate::storage::journal::Bounds;

const LEN: usize = 300;

async fn backup() -> tempfile::TempDir {
    let dir = scratch();
    let journal = open(&dir.path().join("journal"), &small_segments());
    for n in 0..200 {
        append(&journal, n as u16 % 5, body(n, LEN)).await.unwrap();
    }
    journal.maintenance().trim(&[(p(0), Offset(3))]).unwrap();
    journal.maintenance().backup_to(&dir.path().join("backup")).unwrap();
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    dir
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[tokio::test]
async fn a_whole_copy_says_what_it_holds_and_stays_as_it_is() {
    let dir = backup().await;
    let copy = dir.path().join("backup");
    let found = verify(&copy).unwrap();
    assert_eq!((found.records, found.segments > 4), (200, true));
    assert_eq!(found.bounds[0], Bounds { start: Offset(3), end: Offset(40) });
    assert_eq!(found.bounds[4], Bounds { start: Offset(0), end: Offset(40) });
    assert_eq!(verify(&copy).unwrap(), found);
    assert_eq!(open(&copy, &small_segments()).maintenance().id(), found.journal);
}

#[tokio::test]
async fn a_renewed_journal_goes_on_with_its_new_identity_and_gives_it_to_its_copies() {
    let dir = backup().await;
    let copy = dir.path().join("backup");
    let before = verify(&copy).unwrap();
    let id = uuid::Uuid::from_u128(9);
    renew(&copy, id).unwrap();
    assert_eq!(verify(&copy).unwrap(), Verified { journal: id, ..before });
    let journal = open(&copy, &small_segments());
    assert_eq!(journal.maintenance().id(), id);
    for n in 0..100 {
        append(&journal, 0, body(n, LEN)).await.unwrap();
    }
    journal.maintenance().trim(&[(p(0), Offset(60))]).unwrap();
    journal.maintenance().backup_to(&dir.path().join("again")).unwrap();
    drop(journal);
    assert_eq!(open(&copy, &small_segments()).maintenance().id(), id, "after a trim and a restart");
    assert_eq!(verify(&dir.path().join("again")).unwrap().journal, id);
    // Another byte of it is damage, as anywhere.
    flip(&copy.join("journal.meta"), std::fs::metadata(copy.join("journal.meta")).unwrap().len() - 8);
    assert!(verify(&copy).unwrap_err().to_string().contains("journal.meta"));
    assert!(renew(&dir.path().join("nothing"), id).is_err());
}

/// Any byte of any file: a record of a sealed segment, which an open does not read, the seal, the header, the meta.
#[tokio::test]
async fn a_flipped_byte_anywhere_is_named() {
    let dir = backup().await;
    let copy = dir.path().join("backup");
    let mut names: Vec<_> = std::fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = copy.join(&name);
        let len = std::fs::metadata(&path).unwrap().len();
        for at in (0..len).step_by(97).chain([len - 1]) {
            flip(&path, at);
            let error = verify(&copy).expect_err(&format!("byte {at} of {name:?} goes unseen"));
            assert!(error.to_string().contains(&*name.to_string_lossy()), "byte {at} of {name:?}: {error}");
            flip(&path, at);
        }
    }
    verify(&copy).unwrap();
}

#[tokio::test]
async fn a_missing_file_a_swapped_one_and_a_cut_end_are_named() {
    let dir = backup().await;
    let other = backup().await;
    let copy = dir.path().join("backup");
    let last = *segment::list(&copy).unwrap().last().unwrap();
    let aside = dir.path().join("aside");
    for number in 1..=last {
        let path = segment::path(&copy, number);
        std::fs::rename(&path, &aside).unwrap();
        assert_damage(&verify(&copy).unwrap_err(), &[&name(number), "missing"]);
        std::fs::copy(segment::path(&other.path().join("backup"), number), &path).unwrap();
        assert_damage(&verify(&copy).unwrap_err(), &[&name(number), "belongs to journal"]);
        std::fs::rename(&aside, &path).unwrap();
    }
    let path = segment::path(&copy, last);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(std::fs::metadata(&path).unwrap().len() - 1).unwrap();
    assert_damage(&verify(&copy).unwrap_err(), &[&name(last), "are no whole record"]);
    std::fs::remove_file(copy.join("journal.meta")).unwrap();
    assert_damage(&verify(&copy).unwrap_err(), &["journal.meta", "missing"]);
}
