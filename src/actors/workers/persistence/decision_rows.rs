//! Decisions on commands, packed into a column, and back. Total: what no fold could have decided is an error.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::actors::decisions::{Decision, Earlier};
use crate::actors::wire::Reject;
use crate::actors::wire::fields;
use crate::ids::{Seq, Timestamp};

#[derive(Clone, PartialEq, Message)]
struct PackedDecisions {
    #[prost(message, repeated, tag = "1")]
    decisions: Vec<PackedDecision>,
}

#[derive(Clone, PartialEq, Message)]
struct PackedDecision {
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    command: Bytes,
    #[prost(uint64, tag = "2")]
    at: u64,
    /// The number of the refusal; 0 if it was none.
    #[prost(uint32, tag = "3")]
    reject: u32,
    #[prost(uint64, tag = "4")]
    seq: u64,
    /// 16 bytes, or empty for none.
    #[prost(bytes = "bytes", tag = "5")]
    id: Bytes,
    #[prost(uint64, tag = "6")]
    earlier_at: u64,
}

/// The bytes of some decisions; none are no bytes.
#[must_use]
pub(in crate::actors) fn pack<'a>(decisions: impl Iterator<Item = &'a Decision>) -> Bytes {
    let packed = |decision: &Decision| {
        let Decision { command, at, answer } = decision;
        let (reject, Earlier { seq, id, at: earlier_at }) = match answer {
            Ok(earlier) => (0, *earlier),
            Err(reject) => (u32::from(reject.number()), Earlier::default()),
        };
        let id = if id.is_nil() { Bytes::new() } else { fields::uuid_bytes(id) };
        let command = fields::uuid_bytes(*command);
        PackedDecision { command, at: at.0, reject, seq: seq.0, id, earlier_at: earlier_at.0 }
    };
    PackedDecisions { decisions: decisions.map(packed).collect() }.encode_to_vec().into()
}

/// The decisions in these bytes; `None` if there is something else in them.
#[must_use]
pub(in crate::actors) fn unpack(bytes: &Bytes) -> Option<Vec<Decision>> {
    let one = |packed: PackedDecision| {
        let PackedDecision { command, at, reject, seq, id, earlier_at } = packed;
        let id = if id.is_empty() { Uuid::nil() } else { fields::uuid(&id).ok()? };
        let answer = match u8::try_from(reject).ok()? {
            0 => Ok(Earlier { seq: Seq(seq), id, at: Timestamp(earlier_at) }),
            number => Err(Reject::from_number(number)?),
        };
        Some(Decision { command: fields::uuid(&command).ok()?, at: Timestamp(at), answer })
    };
    PackedDecisions::decode(bytes.clone()).ok()?.decisions.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_come_back_as_they_were_packed() {
        let decision = |n, answer| Decision { command: Uuid::from_u128(n), at: Timestamp(n as u64), answer };
        let earlier = Earlier { seq: Seq(7), id: Uuid::from_u128(9), at: Timestamp(5) };
        let decisions =
            [decision(1, Err(Reject::Stale)), decision(2, Ok(earlier)), decision(3, Ok(Earlier::default()))];
        assert_eq!(unpack(&pack(decisions.iter())), Some(decisions.to_vec()));
        assert_eq!((pack([].iter()), unpack(&Bytes::new())), (Bytes::new(), Some(Vec::new())));
    }

    #[test]
    fn what_was_never_decided_is_an_error() {
        let broken = |packed: PackedDecision| {
            unpack(&PackedDecisions { decisions: vec![packed] }.encode_to_vec().into()).is_none()
        };
        let command = Bytes::from_static(&[7; 16]);
        assert!(!broken(PackedDecision { command: command.clone(), ..PackedDecision::default() }));
        assert!(broken(PackedDecision::default()), "no command");
        assert!(broken(PackedDecision { command: command.clone(), reject: 200, ..PackedDecision::default() }));
        assert!(broken(PackedDecision { command, id: Bytes::from_static(b"id"), ..PackedDecision::default() }));
        assert_eq!(unpack(&Bytes::from_static(&[0xFF])), None);
    }
}
