//! Golden records: whole partitions as they were written by this and older programs, with what their fold must give for
//! ever. If one of these tests fails, the program would read an existing journal differently than the program that wrote
//! it, and two nodes of different versions would disagree (I1, I10). Then the program is wrong, never the file.
//!
//! A file `vN/<name>.txt` is a partition's log of records of version N:
//!
//! - `record <append time> <record in hex>`, and below it what was decided: `-> <outcome in words> <chain of the entity>`;
//! - at the end `state <room or user> <state hash>` for each entity, and `log <running hash of the records>`.
//!
//! To add: write a scenario in `scenarios.rs` under a new name and run
//! `cargo test --test golden -- --ignored write_missing_golden_files`. It writes files that are not there and touches no
//! other. From the first release on a file that is there is never changed and never removed; before it, only together with
//! a rule of the fold that changes on purpose, and the commit says which. When the record version grows, a folder `v(N+1)` is
//! added beside the old ones; scenarios go on being written in the newest version, and the old folders are only read.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod file;
mod scenarios;

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use file::{Golden, Line};
use kervan::actors::fold::entity_of;
use kervan::actors::room::RoomCommand;
use kervan::actors::user::UserCommandBody;
use kervan::actors::wire::Entity;
use kervan::actors::{kinds, room, user};
use kervan::ids::Timestamp;
use kervan::storage::journal::record::{Envelope, RecordError, VERSION};

fn folder(version: u8) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"))
}

fn all() -> Vec<Golden> {
    let mut found = Vec::new();
    for version in 1..=VERSION {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder(version)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        found.extend(paths.into_iter().map(|path| Golden::read(&path)));
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn old_records_are_decided_as_they_always_were() {
    for golden in all() {
        let now = file::fold(&golden.records());
        assert_eq!(now.to_string(), golden.to_string(), "{}", golden.name);
    }
}

#[test]
fn what_is_written_today_is_what_was_written() {
    for (name, log) in scenarios::all() {
        let golden = Golden::read(&folder(VERSION).join(format!("{name}.txt")));
        assert_eq!(log, golden.records(), "{name}");
    }
}

#[test]
fn a_record_that_can_be_read_is_written_the_same_again() {
    for golden in all() {
        for (_, record) in golden.records() {
            let envelope = Envelope::decode_record(&record).unwrap();
            let again = match entity_of(&envelope) {
                Some(Entity::Room(_)) => room::payload::decode(&envelope).map(room::payload::encode),
                Some(Entity::User(_)) => user::payload::decode(&envelope).map(user::payload::encode),
                None => continue,
            };
            if let Ok(again) = again {
                let again = Envelope::decode_record(&again).unwrap();
                let again =
                    again.placed(Timestamp(envelope.placed_at_ms), envelope.age_ms).following(envelope.prefix());
                assert_eq!(again.encode_record(), record, "{}", golden.name);
            }
        }
    }
}

#[test]
fn every_kind_and_every_outcome_has_a_golden_record() {
    let (mut seen, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    for golden in all() {
        seen.extend(golden.records().iter().map(|(_, record)| Envelope::decode_record(record).unwrap().kind));
        outcomes.extend(golden.lines.iter().filter_map(|line| match line {
            Line::Outcome(words) => words.split(' ').next().map(str::to_owned),
            _ => None,
        }));
    }
    for kind in
        RoomCommand::KINDS.iter().chain(UserCommandBody::KINDS).chain(&[kinds::CONTROL_BARRIER, kinds::CONTROL_VERSION])
    {
        assert!(seen.contains(kind), "no golden record of kind {kind}");
    }
    let words =
        ["accepted", "control", "duplicate", "event", "ignored", "invalid", "noted", "quiet", "rejected", "unchanged"];
    assert_eq!(outcomes.iter().map(String::as_str).collect::<Vec<_>>(), words);
}

#[test]
fn a_record_of_a_newer_version_halts_and_is_never_decoded() {
    for golden in all() {
        for (_, record) in golden.records() {
            let mut newer = record.to_vec();
            newer[1] = VERSION + 1;
            let read = Envelope::decode_record(&Bytes::from(newer));
            assert_eq!(read, Err(RecordError::NewerVersion(VERSION + 1)));
        }
    }
}

#[test]
#[ignore = "writes new golden files; see the top of this file"]
fn write_missing_golden_files() {
    for (name, log) in scenarios::all() {
        let path = folder(VERSION).join(format!("{name}.txt"));
        if !path.exists() {
            std::fs::write(path, file::fold(&log).to_string()).unwrap();
        }
    }
}
