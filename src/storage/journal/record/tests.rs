//! The envelope: golden records of each version, and what is no record.

use proptest::prelude::*;

use super::*;

/// Each line: name, kind, key, command id, issued at, time to live, payload, and the whole record; bytes in hex, `-` for
/// none. Lines are only ever added: these records lie in journals.
const GOLDEN_V1: &str = include_str!("golden_v1.txt");

fn hex(text: &str) -> Bytes {
    let digits = text.trim_matches('-').as_bytes();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
}

fn line(name: &str, envelope: &Envelope) -> String {
    let Envelope { kind, key, command_id, issued_at_ms, ttl_ms, payload, .. } = envelope;
    let (key, id, payload, all) = (to_hex(key), to_hex(command_id), to_hex(payload), to_hex(&envelope.encode_record()));
    format!("{name} {kind} {key} {id} {issued_at_ms} {ttl_ms} {payload} {all}")
}

fn golden() -> impl Iterator<Item = (&'static str, Envelope, Bytes)> {
    GOLDEN_V1.lines().map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, kind, key, id, issued, ttl, payload, record] = fields[..] else { panic!("{line}") };
        let envelope = Envelope {
            kind: kind.parse().unwrap(),
            key: hex(key),
            command_id: hex(id),
            issued_at_ms: issued.parse().unwrap(),
            ttl_ms: ttl.parse().unwrap(),
            payload: hex(payload),
            ..Envelope::default()
        };
        (name, envelope, hex(record))
    })
}

#[test]
fn golden_records_of_version_1_are_read_for_ever() {
    let mut count = 0;
    for (name, envelope, record) in golden() {
        assert_eq!(record[1], 1, "{name}");
        assert_eq!(Envelope::decode_record(&record), Ok(envelope), "{name}");
        count += 1;
    }
    assert!(count >= 6);
}

#[test]
fn records_are_written_as_the_golden_ones_are() {
    for (name, envelope, record) in golden().filter(|(name, ..)| *name != "later-field") {
        assert_eq!(envelope.encode_record(), record, "{name}: {}", line(name, &envelope));
    }
}

#[test]
fn what_is_no_record_is_an_error_and_never_a_panic() {
    for (name, _, record) in golden() {
        for at in 0..record.len() {
            for change in [1, 0x80, 0xff] {
                let mut bytes = record.to_vec();
                bytes[at] ^= change;
                let read = Envelope::decode_record(&bytes.into());
                assert!(read.is_err() || at >= HEADER, "{name}: byte {at}");
            }
            let cut = Envelope::decode_record(&record.slice(..at));
            assert!(cut.is_err() || at >= HEADER, "{name}: cut at {at}");
        }
    }
}

#[test]
fn a_newer_version_is_told_apart_from_damage() {
    let mut bytes = golden().next().unwrap().2.to_vec();
    bytes[1] = VERSION + 1;
    assert_eq!(Envelope::decode_record(&bytes.into()), Err(RecordError::NewerVersion(VERSION + 1)));
}

#[test]
fn what_a_writer_had_verified_takes_eighteen_bytes_whatever_it_was() {
    let bare = Envelope { kind: 1, ..Envelope::default() };
    for (end, hash) in [(1, 1), (u64::MAX, u64::MAX)] {
        let prefix = Prefix { end: Offset(end), hash };
        let record = bare.clone().following(prefix).encode_record();
        assert_eq!(record.len(), bare.encode_record().len() + 18);
        assert_eq!(Envelope::decode_record(&record).unwrap().prefix(), prefix);
    }
    let golden = bare.following(Prefix { end: Offset(0x102), hash: 0x0102_0304_0506_0708 }).encode_record();
    assert_eq!(to_hex(&golden), "4b010801490201000000000000510807060504030201");
}

#[test]
fn a_command_is_stale_only_beyond_its_time_to_live() {
    let envelope =
        |ttl_ms, age_ms| Envelope { issued_at_ms: 1, ttl_ms, ..Envelope::default() }.placed(Timestamp(1_000), age_ms);
    assert!(!envelope(60, 0).is_stale(Timestamp(1_060)));
    assert!(envelope(60, 0).is_stale(Timestamp(1_061)));
    assert!(!envelope(60, 50).is_stale(Timestamp(1_010)));
    assert!(envelope(60, 50).is_stale(Timestamp(1_011)));
    assert!(!envelope(60, 60).is_stale(Timestamp(0)), "a clock that went back makes nothing stale");
    assert!(envelope(60, 61).is_stale(Timestamp(0)), "nor does it make it young");
    assert!(!envelope(0, u64::MAX).is_stale(Timestamp(u64::MAX)));
    let unplaced = Envelope { placed_at_ms: 0, ..envelope(60, 0) };
    assert!(!unplaced.is_stale(Timestamp(u64::MAX)), "what no owner placed was not under way");
}

fn some_bytes(most: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

proptest! {
    #[test]
    fn a_payload_that_is_encoded_into_its_record_stands_there_as_if_it_was_copied(
        (kind, key, command_id, issued_at_ms, ttl_ms) in
            (any::<u32>(), some_bytes(40), some_bytes(17), any::<u64>(), any::<u64>()),
        payload in (any::<u32>(), some_bytes(70_000)),
    ) {
        let head = Envelope { kind, key, command_id, issued_at_ms, ttl_ms, ..Envelope::default() };
        for payload in [Envelope::default(), Envelope { kind: payload.0, payload: payload.1, ..Envelope::default() }] {
            let copied = Envelope { payload: payload.encode_to_vec().into(), ..head.clone() };
            prop_assert_eq!(head.encode_around(&payload), copied.encode_record());
        }
    }

    #[test]
    fn a_stamped_record_is_the_one_that_would_be_written_at_once(
        (kind, key, payload, ttl_ms) in (any::<u32>(), some_bytes(40), some_bytes(5_000), any::<u64>()),
        (placed, age_ms, end, hash) in (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()),
    ) {
        let plain = Envelope { kind, key, payload, ttl_ms, ..Envelope::default() };
        let stamped = |envelope: Envelope| {
            envelope.placed(Timestamp(placed), age_ms).following(Prefix { end: Offset(end), hash })
        };
        let stamp = stamped(Envelope::default());
        let record = stamp.stamp(plain.encode_record());
        prop_assert!(record.len() <= plain.encode_record().len() + STAMP_BYTES);
        prop_assert_eq!(record, stamped(plain).encode_record());
    }
}
