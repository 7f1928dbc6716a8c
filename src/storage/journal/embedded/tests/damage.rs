//! What recovery makes of files that are not as they were left.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::super::meta::Meta;
use super::super::{Options, segment};
use super::*;

const LEN: usize = 45;

/// A small segment: what is behind the cut need not be allocated again each time.
fn opts() -> Options {
    small_segments()
}

fn expected(count: u64) -> Vec<Bytes> {
    (0..count).map(|n| body(n, LEN)).collect()
}

fn poke(path: &Path, at: u64, change: impl Fn(u8) -> u8) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[change(byte[0])], at).unwrap();
}

async fn filled(count: u64) -> tempfile::TempDir {
    let dir = scratch();
    let journal = open(dir.path(), &opts());
    for n in 0..count {
        append(&journal, 3, body(n, LEN)).await.unwrap();
    }
    journal.close().await.unwrap();
    dir
}

/// Many segments of records in several partitions.
async fn many_segments() -> tempfile::TempDir {
    let dir = scratch();
    let journal = open(dir.path(), &opts());
    for n in 0..200 {
        append(&journal, n as u16 % 5, body(n, 300)).await.unwrap();
    }
    assert!(journal.metrics().segments >= 5);
    journal.close().await.unwrap();
    dir
}

#[tokio::test]
async fn a_cut_at_any_byte_of_the_last_three_records_leaves_exactly_the_whole_ones_before_it() {
    const COUNT: u64 = 6;
    let source = filled(COUNT).await;
    for cut in position(COUNT - 3, LEN)..=position(COUNT, LEN) {
        for zeros_behind in [false, true] {
            let dir = scratch();
            copy_files(source.path(), dir.path());
            let file = File::options().write(true).open(segment::path(dir.path(), 1)).unwrap();
            file.set_len(cut).unwrap();
            if zeros_behind {
                file.set_len(opts().segment_bytes).unwrap();
            }
            let whole = (cut - 4096) / (position(1, LEN) - 4096);
            let (journal, report) = EmbeddedJournal::open(dir.path(), opts()).unwrap();
            assert_eq!(bodies(&journal, 3).await, expected(whole), "cut at {cut}");
            assert_eq!(report.records, whole);
            assert!(report.torn_bytes <= cut - position(whole, LEN));
            assert_eq!(append(&journal, 3, body(whole, LEN)).await.unwrap().first, Offset(whole));
            drop(journal);
            let journal = open(dir.path(), &opts());
            assert_eq!(bodies(&journal, 3).await, expected(whole + 1), "after an append behind the cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_of_a_record_with_others_behind_it_is_an_error_that_names_file_and_byte() {
    let source = filled(5).await;
    for at in position(2, LEN)..position(3, LEN) {
        for change in [|byte: u8| byte ^ 1, |byte: u8| !byte] {
            let dir = scratch();
            copy_files(source.path(), dir.path());
            poke(&segment::path(dir.path(), 1), at, change);
            let error = open_error(dir.path(), &opts());
            assert_damage(&error, &[&name(1), &format!("byte {} is damaged", position(2, LEN))]);
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_of_the_last_record_is_a_torn_tail_and_cut() {
    let source = filled(5).await;
    for at in position(4, LEN)..position(5, LEN) {
        let dir = scratch();
        copy_files(source.path(), dir.path());
        poke(&segment::path(dir.path(), 1), at, |byte| byte ^ 0x10);
        let (journal, report) = EmbeddedJournal::open(dir.path(), opts()).unwrap();
        assert_eq!(report.torn_bytes, position(5, LEN) - position(4, LEN), "{at}");
        assert_eq!(bodies(&journal, 3).await, expected(4));
    }
}

#[tokio::test]
async fn zeros_in_the_middle_are_damage_not_the_end() {
    let dir = filled(5).await;
    for at in position(2, LEN)..position(3, LEN) {
        poke(&segment::path(dir.path(), 1), at, |_| 0);
    }
    assert_damage(&open_error(dir.path(), &opts()), &[&name(1), &format!("byte {}", position(2, LEN))]);
}

#[tokio::test]
async fn any_flipped_byte_of_a_segment_header_or_of_the_meta_file_is_an_error_that_names_the_file() {
    let dir = filled(1).await;
    for (path, bytes) in [(segment::path(dir.path(), 1), 4096), (Meta::path(dir.path()), 2100)] {
        for at in 0..bytes {
            poke(&path, at, |byte| byte ^ 4);
            assert_damage(&open_error(dir.path(), &opts()), &[path.to_str().unwrap()]);
            poke(&path, at, |byte| byte ^ 4);
        }
    }
    open(dir.path(), &opts());
}

/// One write of several records over many sectors, of which a power failure kept only some.
#[tokio::test]
async fn a_write_of_which_sectors_are_missing_is_torn_but_not_when_a_later_write_follows() {
    for later_write in [false, true] {
        let dir = scratch();
        let journal = open(dir.path(), &opts());
        append(&journal, 3, body(0, 100)).await.unwrap();
        journal.append(p(3), (1..7).map(|n| body(n, 900)).collect()).await.unwrap();
        if later_write {
            append(&journal, 3, body(7, 10)).await.unwrap();
        }
        journal.close().await.unwrap();
        drop(journal);
        let path = segment::path(dir.path(), 1);
        File::options().write(true).open(&path).unwrap().write_all_at(&[0; 512], 4096 + 4 * 512).unwrap();
        let first_damaged = 4096 + 128 + 928 * 2;
        if later_write {
            let parts = [name(1), format!("byte {first_damaged} is damaged")];
            assert_damage(&open_error(dir.path(), &opts()), &[&parts[0], &parts[1]]);
        } else {
            let (journal, report) = EmbeddedJournal::open(dir.path(), opts()).unwrap();
            assert_eq!((report.records, report.torn_bytes), (3, 928 * 4));
            drop(journal);
            assert_eq!(EmbeddedJournal::open(dir.path(), opts()).unwrap().1.torn_bytes, 0, "it is cut for good");
        }
    }
}

/// A damaged byte within the last write is no missing sector: the records behind it may have been acknowledged.
#[tokio::test]
async fn a_flipped_byte_within_the_last_write_is_damage() {
    let dir = scratch();
    let journal = open(dir.path(), &opts());
    journal.append(p(3), (0..4).map(|n| body(n, 900)).collect()).await.unwrap();
    drop(journal);
    poke(&segment::path(dir.path(), 1), 4096 + 928 + 500, |byte| byte ^ 1);
    assert_damage(&open_error(dir.path(), &opts()), &[&name(1), &format!("byte {}", 4096 + 928)]);
}

#[tokio::test]
async fn a_missing_segment_is_an_error_that_names_it() {
    let source = many_segments().await;
    let last = *segment::list(source.path()).unwrap().last().unwrap();
    for number in 1..=last {
        let dir = scratch();
        copy_files(source.path(), dir.path());
        std::fs::remove_file(segment::path(dir.path(), number)).unwrap();
        assert_damage(&open_error(dir.path(), &opts()), &[&name(number), "missing"]);
    }
}

#[tokio::test]
async fn a_missing_meta_file_is_an_error_and_never_a_new_journal() {
    let dir = filled(2).await;
    std::fs::remove_file(Meta::path(dir.path())).unwrap();
    assert_damage(&open_error(dir.path(), &opts()), &["journal.meta", "missing", &name(1)]);
    assert!(segment::path(dir.path(), 1).exists());
}

#[tokio::test]
async fn missing_segments_are_an_error_even_if_all_are_gone() {
    let dir = filled(2).await;
    std::fs::remove_file(segment::path(dir.path(), 1)).unwrap();
    assert_damage(&open_error(dir.path(), &opts()), &[&name(1), "missing"]);
}

#[tokio::test]
async fn swapped_segments_are_an_error_that_names_one() {
    let dir = many_segments().await;
    let (one, two, aside) = (segment::path(dir.path(), 2), segment::path(dir.path(), 3), dir.path().join("aside"));
    std::fs::rename(&one, &aside).unwrap();
    std::fs::rename(&two, &one).unwrap();
    std::fs::rename(&aside, &two).unwrap();
    assert_damage(&open_error(dir.path(), &opts()), &[&name(2), "is segment 3"]);
}

#[tokio::test]
async fn a_segment_of_another_journal_is_an_error_that_names_it() {
    let (dir, other) = (many_segments().await, many_segments().await);
    std::fs::copy(segment::path(other.path(), 2), segment::path(dir.path(), 2)).unwrap();
    assert_damage(&open_error(dir.path(), &opts()), &[&name(2), "belongs to journal"]);
}

/// A segment of the same journal and number, but as a restored copy went on with it.
#[tokio::test]
async fn a_segment_of_another_history_is_an_error_that_names_it() {
    let (source, one, other) = (filled(3).await, scratch(), scratch());
    for (dir, salt) in [(&one, 1), (&other, 2)] {
        copy_files(source.path(), dir.path());
        let journal = open(dir.path(), &opts());
        for n in 0..150 {
            append(&journal, 3, body(n * salt, 300)).await.unwrap();
        }
    }
    for number in [1, 2] {
        let dir = scratch();
        copy_files(one.path(), dir.path());
        std::fs::copy(segment::path(other.path(), number), segment::path(dir.path(), number)).unwrap();
        assert_damage(&open_error(dir.path(), &opts()), &[&name(1), "was made behind"]);
    }
}

#[tokio::test]
async fn an_older_copy_of_a_segment_is_an_error_that_names_it() {
    let (dir, older) = (filled(3).await, scratch());
    copy_files(dir.path(), older.path());
    let journal = open(dir.path(), &opts());
    for n in 0..150 {
        append(&journal, 3, body(n, 300)).await.unwrap();
    }
    drop(journal);
    std::fs::copy(segment::path(older.path(), 1), segment::path(dir.path(), 1)).unwrap();
    assert_damage(&open_error(dir.path(), &opts()), &[&name(1), "its end is missing"]);
}

#[tokio::test]
async fn a_damaged_index_is_an_error_that_names_file_and_byte() {
    let source = many_segments().await;
    let len = std::fs::metadata(segment::path(source.path(), 2)).unwrap().len();
    for (from_end, what) in [(70, "index at byte"), (30, "its end is missing"), (1, "its end is missing")] {
        let dir = scratch();
        copy_files(source.path(), dir.path());
        poke(&segment::path(dir.path(), 2), len - from_end, |byte| byte ^ 1);
        assert_damage(&open_error(dir.path(), &opts()), &[&name(2), what]);
    }
}

#[tokio::test]
async fn a_damaged_record_in_a_sealed_segment_is_found_when_it_is_read() {
    let dir = many_segments().await;
    let damaged = 4096 + 3 * 328;
    poke(&segment::path(dir.path(), 1), damaged + 100, |byte| byte ^ 1);
    let journal = open(dir.path(), &opts());
    let error = journal.read(p(3), Offset(0), 1 << 20).await.unwrap_err();
    let crate::storage::journal::ReadError::Journal(error) = error else { panic!("{error:?}") };
    assert_damage(&error, &[&name(1), &format!("byte {damaged}")]);
    assert!(!journal.read(p(2), Offset(0), 1 << 20).await.unwrap().is_empty(), "other partitions are served");
}

#[tokio::test]
async fn another_format_or_partition_count_is_incompatible() {
    for at in [8, 12] {
        let dir = filled(1).await;
        let path = Meta::path(dir.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 3;
        let body = bytes.len() - 4;
        let crc = crc32c::crc32c(&bytes[..body]);
        bytes[body..].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let error = open_error(dir.path(), &opts());
        assert!(matches!(&error, JournalError::Incompatible(text) if text.contains("journal.meta")), "{error:?}");
    }
}

#[tokio::test]
async fn a_folder_that_is_open_already_is_refused() {
    let dir = filled(1).await;
    let _journal = open(dir.path(), &opts());
    assert!(open_error(dir.path(), &opts()).to_string().contains("held by another process"));
}
