//! No space: a retryable error, no damage, and it goes on when there is space again.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::super::segment;
use super::*;

fn refused(outcome: Result<Appended, AppendError>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(AppendError::Refused(_)) => true,
        Err(other) => panic!("not retryable: {other:?}"),
    }
}

/// Appends until it is refused, frees space, goes on, restarts; nothing is lost, doubled or changed.
async fn fill_then_free(dir: &Path, options: &Options, free: impl FnOnce()) {
    let journal = open(dir, options);
    let mut acked = 0;
    let refused_at = loop {
        if refused(append(&journal, 5, body(acked, 1_000)).await) {
            break acked;
        }
        acked += 1;
        assert!(acked < 10_000, "the disk never became full");
    };
    assert!(acked > 0, "there was some space");
    assert!(refused(append(&journal, 5, body(acked, 1_000)).await), "as long as there is no space");
    assert_eq!(journal.bounds(p(5)).end, Offset(acked));
    assert_eq!(bodies(&journal, 5).await, (0..acked).map(|n| body(n, 1_000)).collect::<Vec<_>>());
    assert_eq!(journal.maintenance().failure(), None);
    free();
    while acked < refused_at + 200 {
        assert_eq!(append(&journal, 5, body(acked, 1_000)).await.unwrap().first, Offset(acked));
        acked += 1;
    }
    journal.close().await.unwrap();
    drop(journal);
    let journal = open(dir, options);
    assert_eq!(bodies(&journal, 5).await, (0..acked).map(|n| body(n, 1_000)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_segment_that_finds_no_space_is_refused_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = small_segments();
    let faults = options.faults.clone();
    let journal = open(dir.path(), &options);
    append(&journal, 5, body(0, 10_000)).await.unwrap();
    faults.set_full(true);
    assert!(refused(append(&journal, 5, body(1, 10_000)).await));
    assert!(!refused(append(&journal, 6, body(1, 10)).await), "what still fits is taken");
    faults.set_full(false);
    append(&journal, 5, body(1, 10_000)).await.unwrap();
    drop(journal);
    assert_eq!(bodies(&open(dir.path(), &options), 5).await, [body(0, 10_000), body(1, 10_000)]);
}

/// The process ended in the middle of a roll, and the disk is full now: what is there is served, and goes on with space.
#[tokio::test]
async fn a_full_disk_at_the_start_keeps_nothing_from_being_served() {
    for partly in [0, 100, 1_000] {
        let dir = scratch();
        let options = small_segments();
        let journal = open(dir.path(), &options);
        let mut acked = 0;
        while journal.metrics().segments == 1 {
            append(&journal, 5, body(acked, 700)).await.unwrap();
            acked += 1;
        }
        drop(journal);
        // The last one went into the new segment: as if it had never been written, nor the seal before it.
        acked -= 1;
        let (first, second) = (segment::path(dir.path(), 1), segment::path(dir.path(), 2));
        std::fs::write(&second, &std::fs::read(&second).unwrap()[..4096]).unwrap();
        File::options().write(true).open(&first).unwrap().set_len(position(acked, 700)).unwrap();
        options.faults.set_full(true);
        options.faults.fail_next_write(ErrorKind::StorageFull, partly);
        let journal = open(dir.path(), &options);
        let expected = (0..acked).map(|n| body(n, 700)).collect::<Vec<_>>();
        assert_eq!(bodies(&journal, 5).await, expected);
        assert!(refused(append(&journal, 5, body(acked, 14_000)).await), "there is no space for another segment");
        options.faults.set_full(false);
        append(&journal, 5, body(acked, 14_000)).await.unwrap();
        drop(journal);
        let found = bodies(&open(dir.path(), &options), 5).await;
        assert_eq!((found.len() as u64, &found[..acked as usize]), (acked + 1, &expected[..]));
    }
}

#[tokio::test]
async fn a_write_that_finds_no_space_leaves_nothing_behind_whatever_it_had_written() {
    for partly in (0..400).step_by(7) {
        let dir = scratch();
        let options = small_segments();
        let journal = open(dir.path(), &options);
        append(&journal, 5, body(0, 100)).await.unwrap();
        options.faults.fail_next_write(ErrorKind::StorageFull, partly);
        let batch = (1..4).map(|n| body(n, 100)).collect();
        assert!(refused(journal.append(p(5), batch).await));
        assert_eq!(journal.bounds(p(5)).end, Offset(1));
        let copy = scratch();
        copy_files(dir.path(), copy.path());
        assert_eq!(bodies(&open(copy.path(), &options), 5).await, [body(0, 100)], "refused is never written");
        assert_eq!(append(&journal, 5, body(9, 50)).await.unwrap().first, Offset(1));
        drop(journal);
        assert_eq!(bodies(&open(dir.path(), &options), 5).await, [body(0, 100), body(9, 50)]);
    }
}

#[tokio::test]
async fn a_write_that_fails_otherwise_is_unknown_and_ends_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let options = small_segments();
    let journal = open(dir.path(), &options);
    append(&journal, 5, body(0, 100)).await.unwrap();
    options.faults.fail_next_write(ErrorKind::Other, 200);
    assert!(matches!(append(&journal, 5, body(1, 100)).await, Err(AppendError::Unknown(_))));
    assert!(matches!(append(&journal, 5, body(2, 100)).await, Err(AppendError::Closed(_))));
    assert!(journal.maintenance().failure().is_some());
    assert_eq!(bodies(&journal, 5).await, [body(0, 100)], "what is durable is still served");
    drop(journal);
    let found = bodies(&open(dir.path(), &options), 5).await;
    assert!(found == [body(0, 100)] || found == [body(0, 100), body(1, 100)]);
}

const CHILD: &str = "KERVAN_TEST_FULL_DISK";

/// Runs [`child`] behind a shell command, with a folder to work in.
fn run_child(mode: &str, shell: &str) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("{}::child", module_path!().split_once("::").unwrap().1);
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--nocapture"])
        .env(CHILD, mode)
        .env("KERVAN_TEST_DIR", dir.path())
        .output()
        .unwrap()
}

fn assert_child_passed(output: &std::process::Output) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A real limit of the operating system: writes and allocations fail with EFBIG. The signal that comes with it is
/// ignored in the child from its start.
#[test]
fn a_file_size_limit_is_retryable() {
    assert_child_passed(&run_child("limit", "trap '' XFSZ;"));
}

/// A real file system that is full, where one may be mounted.
#[test]
fn a_full_file_system_is_retryable() {
    let probe = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let shell = "exec unshare --mount --map-root-user sh -c \
                 'mount -t tmpfs -o size=1m none \"$KERVAN_TEST_DIR\" && exec \"$0\" \"$@\"' \"$0\" \"$@\";";
    assert_child_passed(&run_child("tmpfs", shell));
}

#[tokio::test]
#[ignore = "a part of the tests above, which run it in a process of its own"]
async fn child() {
    let dir = PathBuf::from(std::env::var_os("KERVAN_TEST_DIR").unwrap());
    let options = Options { segment_bytes: 64 * 1024, ..options() };
    let journal_dir = dir.join("journal");
    drop(open(&journal_dir, &options));
    match std::env::var(CHILD).unwrap().as_str() {
        "limit" => {
            // First in the middle of a segment, at a write; then at the allocation of a new one.
            for (round, limit) in [(1, 40_000), (2, 50_000)] {
                let dir = dir.join(format!("journal-{round}"));
                let segment_bytes = if round == 1 { 64 * 1024 } else { 40_000 };
                let options = Options { segment_bytes, ..options.clone() };
                drop(open(&dir, &options));
                let before = getrlimit(Resource::Fsize);
                setrlimit(Resource::Fsize, Rlimit { current: Some(limit), ..before }).unwrap();
                if round == 2 {
                    // The first segment fits below the limit, a larger one does not.
                    let journal = open(&dir, &options);
                    assert!(refused(append(&journal, 5, body(0, 60_000)).await));
                    append(&journal, 5, body(0, 10)).await.unwrap();
                    setrlimit(Resource::Fsize, before).unwrap();
                    append(&journal, 5, body(1, 60_000)).await.unwrap();
                    drop(journal);
                    assert_eq!(bodies(&open(&dir, &options), 5).await, [body(0, 10), body(1, 60_000)]);
                } else {
                    fill_then_free(&dir, &options, || setrlimit(Resource::Fsize, before).unwrap()).await;
                }
            }
        }
        "tmpfs" => {
            let ballast = dir.join("ballast");
            std::fs::write(&ballast, vec![1u8; 500 * 1024]).unwrap();
            fill_then_free(&journal_dir, &options, || std::fs::remove_file(&ballast).unwrap()).await;
        }
        mode => panic!("unknown mode {mode}"),
    }
}
