//! A journal as a program of format 1 left it: it is opened for ever, or refused by its format, but never misread.

use super::*;
use crate::storage::journal::Bounds;

/// Two segments, the first one sealed; made by [`written`]. Never changed.
const FORMAT_1: [(&str, &[u8]); 3] = [
    ("journal.meta", include_bytes!("../golden/format-1/journal.meta.bin")),
    ("segment-0000000001.log", include_bytes!("../golden/format-1/segment-1.bin")),
    ("segment-0000000002.log", include_bytes!("../golden/format-1/segment-2.bin")),
];

fn opts() -> Options {
    let ids = Arc::new(crate::env::CountedIds::new(1));
    let env = Env { clock: Arc::new(ManualClock::new(Timestamp(1_767_225_600_000))), ids };
    Options { segment_bytes: 8 * 1024, prepare_ahead: false, ..Options::new(env) }
}

fn records() -> Vec<(u16, Bytes)> {
    (0..12).map(|n| (n as u16 % 3 * 127, body(n, 40 * n as usize))).collect()
}

async fn written(dir: &Path) {
    let journal = open(dir, &opts());
    for (partition, record) in records() {
        append(&journal, partition, record).await.unwrap();
    }
    journal.maintenance().trim(&[(p(127), Offset(2))]).unwrap();
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_journal_of_format_1_is_read_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    FORMAT_1.iter().for_each(|(name, bytes)| std::fs::write(dir.path().join(name), bytes).unwrap());
    let (journal, report) = EmbeddedJournal::open(dir.path(), opts()).unwrap();
    assert_eq!((report.records, report.segments, report.torn_bytes), (12, 2, 0));
    for (partition, start) in [(0, 0), (127, 2), (254, 0)] {
        let all = records().into_iter().filter(|(of, _)| *of == partition).map(|(_, record)| record);
        assert_eq!(bodies(&journal, partition).await, all.skip(start as usize).collect::<Vec<_>>());
        assert_eq!(journal.bounds(p(partition)), Bounds { start: Offset(start), end: Offset(4) });
    }
    let record = &journal.read(p(0), Offset(3), 1).await.unwrap()[0];
    assert_eq!(record.time, Timestamp(1_767_225_600_000));
}

#[tokio::test]
async fn a_journal_is_written_as_the_golden_one_is() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    for (name, golden) in FORMAT_1 {
        let mut bytes = std::fs::read(dir.path().join(name)).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        assert!(bytes == golden, "{name} is written in another way: that needs a new format number");
    }
}
