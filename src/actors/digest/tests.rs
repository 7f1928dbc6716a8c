//! What differs has different digests.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::actors::room::tests::support::user;
use crate::actors::wire::{Content, Event, EventBody, Reject};
use crate::ids::{MessageNo, Offset, Seq, Timestamp};
use uuid::Uuid;

fn message(body: &str, actor: &str) -> Event {
    let content = Content { body: body.into(), message_type: "text".into(), ..Content::default() };
    Event {
        seq: Seq(1),
        at: Timestamp(2),
        id: Uuid::from_u128(3),
        actor: Some(user(actor)),
        client_id: None,
        body: EventBody::Message { no: MessageNo(1), content, redacted: false },
    }
}

#[test]
fn the_chain_depends_on_place_order_and_outcome() {
    let chain = |steps: &[(u64, u64)]| {
        steps.iter().fold(Chain::START, |chain, (offset, digest)| chain.next(Offset(*offset), *digest)).0
    };
    let values = [
        chain(&[]),
        chain(&[(0, 7)]),
        chain(&[(1, 7)]),
        chain(&[(0, 8)]),
        chain(&[(0, 7), (1, 8)]),
        chain(&[(0, 8), (1, 7)]),
    ];
    assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), values.len());
}

#[test]
fn outcomes_that_differ_have_different_digests() {
    let accepted = |event: Event| Outcome::Accepted(Arc::new(event));
    let (seq, at, id) = (Seq(1), Timestamp(2), Uuid::from_u128(3));
    let event = |body| accepted(Event { body, ..message("a", "ann") });
    let digests = [
        accepted(message("a", "ann")).digest(),
        accepted(message("b", "ann")).digest(),
        accepted(message("a", "bob")).digest(),
        accepted(Event { seq: Seq(2), ..message("a", "ann") }).digest(),
        accepted(Event { at: Timestamp(3), ..message("a", "ann") }).digest(),
        accepted(Event { actor: None, ..message("a", "ann") }).digest(),
        event(EventBody::Joined).digest(),
        event(EventBody::Left).digest(),
        event(EventBody::Invited { user: user("bob") }).digest(),
        event(EventBody::Kicked { user: user("bob") }).digest(),
        event(EventBody::Uninvited { user: user("bob") }).digest(),
        event(EventBody::Deleted { target: Seq(1) }).digest(),
        event(EventBody::Edited { target: Seq(1), body: String::new(), metadata: None }).digest(),
        event(EventBody::Edited { target: Seq(1), body: String::new(), metadata: Some(String::new()) }).digest(),
        event(EventBody::Reopened { expires_at: None }).digest(),
        event(EventBody::Reopened { expires_at: Some(Timestamp(0)) }).digest(),
        Outcome::Duplicate { seq, id, at }.digest(),
        Outcome::Rejected(Reject::Ended).digest(),
        Outcome::Rejected(Reject::Expired).digest(),
        Outcome::Noted.digest(),
        Outcome::Ignored.digest(),
        UserOutcome::Unchanged.digest(),
        UserOutcome::Rejected(Reject::Ended).digest(),
    ];
    assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len());
}
