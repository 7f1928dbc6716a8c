//! What breaks access, content, the rows and what users are told.

use super::{ROOM, Story, created, event, message, rows_of};
use crate::checker::Kind;
use crate::history::{Body, Entry, Event, Rows, What};

#[test]
fn what_a_kicked_member_sees_after_the_kick_is_found() {
    let events = [
        created(&["ann", "bob"]),
        event(2, "ann", Body::Kicked { user: "bob".into() }),
        message(3, 1, "ann", "a1"),
        event(4, "bob", Body::Joined),
        message(5, 2, "ann", "a2"),
    ];
    let mut story = Story::default();
    let sub = story.subscribe("bob", None, 1, false, 0);
    let kick = story.invoke("ann", What::Kick { user: "bob".into() });
    story.ok(kick, 2, "").deliver(sub, &events[1..2]);
    let before = story.entries.len();
    story.sent("ann", "a1", 3).deliver(sub, &events[2..3]).last(&events[..3]);
    assert_eq!(story.kinds(), [Kind::Leak]);
    // Once bob is back he may see what he missed.
    story.entries.truncate(before);
    story.add(Entry::Unsubscribed { sub, code: 2000 });
    story.sent("ann", "a1", 3);
    let join = story.invoke("bob", What::Join);
    story.ok(join, 4, "");
    story.sent("ann", "a2", 5);
    let again = story.subscribe("bob", Some(2), 2, true, 3);
    story.deliver(again, &events[2..]).last(&events);
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_stranger_in_a_room_is_found() {
    let events = [created(&["ann"]), message(2, 1, "ann", "a1")];
    let mut story = Story::default();
    let sub = story.subscribe("eve", None, 1, false, 0);
    story.sent("ann", "a1", 2).deliver(sub, &events[1..]).last(&events);
    assert_eq!(story.kinds(), [Kind::Leak]);
}

#[test]
fn a_page_read_after_ones_removal_is_found() {
    let events = [created(&["ann", "bob"]), message(2, 1, "ann", "a1"), event(3, "bob", Body::Left)];
    let mut story = Story::default();
    story.sent("ann", "a1", 2).page("bob", 10, &events[1..2]);
    let leave = story.invoke("bob", What::Leave);
    story.ok(leave, 3, "").page("bob", 10, &[]).last(&events);
    assert_eq!(story.kinds(), []);
    story.page("bob", 10, &events[1..2]);
    assert_eq!(story.kinds(), [Kind::Leak]);
}

#[test]
fn a_publication_without_a_subscription_is_found() {
    let mut story = Story::default();
    let event = message(1, 1, "ann", "a1");
    story.add(Entry::Stray { room: ROOM.into(), user: "bob".into(), event });
    assert_eq!(story.kinds(), [Kind::Stray]);
}

#[test]
fn a_changed_epoch_is_found() {
    let mut story = Story::default();
    story.subscribe("bob", None, 0, false, 0);
    story.add(Entry::Final { room: ROOM.into(), epoch: "2".into(), events: Vec::new() });
    assert_eq!(story.kinds(), [Kind::EpochChanged]);
}

#[test]
fn another_text_than_the_one_sent_is_found() {
    let mut story = Story::default();
    story.sent("ann", "a1", 1);
    let mut other = message(1, 1, "ann", "a1");
    other.body = Body::Message { no: 1, client_id: Some("a1".into()), text: "torn".into() };
    story.last(&[other]);
    assert_eq!(story.kinds(), [Kind::WrongText]);
}

#[test]
fn a_deleted_text_that_is_still_there_is_found() {
    let mut events = vec![message(1, 1, "ann", "a1"), event(2, "ann", Body::Deleted { target: 1 })];
    let mut story = Story::default();
    story.sent("ann", "a1", 1);
    let delete = story.invoke("ann", What::Delete { target: 1 });
    story.ok(delete, 2, "");
    let before = story.entries.len();
    story.last(&events);
    assert_eq!(story.kinds(), [Kind::Unredacted]);
    story.entries.truncate(before);
    events[0].body = Body::Message { no: 1, client_id: Some("a1".into()), text: String::new() };
    story.last(&events);
    assert_eq!(story.kinds(), []);
}

#[test]
fn an_acknowledged_kick_that_did_not_happen_is_found() {
    let events = [created(&["ann", "bob"]), message(2, 1, "ann", "a1")];
    let mut story = Story::default();
    story.sent("ann", "a1", 2);
    let kick = story.invoke("ann", What::Kick { user: "bob".into() });
    story.ok(kick, 3, "").last(&events);
    assert_eq!(story.kinds(), [Kind::LostAck]);
    let mut story = Story::default();
    story.sent("ann", "a1", 2);
    let kick = story.invoke("ann", What::Kick { user: "bob".into() });
    story.ok(kick, 2, "").last(&events);
    assert_eq!(story.kinds(), [Kind::WrongSeq]);
}

#[test]
fn message_numbers_and_times_out_of_order_are_found() {
    let mut story = Story::default();
    story.sent("ann", "a1", 1).sent("ann", "a2", 2);
    let mut late = message(2, 3, "ann", "a2");
    late.at = 7;
    story.last(&[message(1, 1, "ann", "a1"), late]);
    assert_eq!(story.kinds(), [Kind::MessageNumbers, Kind::TimeRegress]);
}

#[test]
fn rows_that_differ_from_the_stream_are_found() {
    let events = [created(&["ann"]), message(2, 1, "ann", "a1")];
    let good = rows_of(&events);
    let damage: [fn(&mut Rows); 7] = [
        |rows| rows.head = 1,
        |rows| rows.messages_head = 0,
        |rows| rows.events.truncate(1),
        |rows| rows.events[1].seq = 3,
        |rows| rows.events[0].kind = "joined".into(),
        |rows| rows.messages.clear(),
        |rows| rows.messages[0].no = 2,
    ];
    for damage in damage {
        let mut rows = good.clone();
        damage(&mut rows);
        let mut story = Story::default();
        story.sent("ann", "a1", 2).last(&events).rows(rows.clone());
        assert_eq!(story.kinds(), [Kind::RowsDiffer], "{rows:?}");
    }
    let mut story = Story::default();
    story.sent("ann", "a1", 2).last(&events).rows(good);
    story.add(Entry::Present { room: ROOM.into(), messages: vec![message(2, 1, "ann", "a1")] });
    assert_eq!(story.kinds(), []);
}

#[test]
fn what_a_user_is_told_wrongly_or_never_is_found() {
    let room = [created(&["ann", "bob"]), event(2, "ann", Body::Kicked { user: "bob".into() })];
    let told = |seq: u64, kind: &str, room_seq: u64| Event {
        seq,
        id: format!("{kind} {room_seq}"),
        actor: None,
        at: 0,
        body: Body::Told { kind: kind.into(), room: ROOM.into(), room_seq },
    };
    let kinds = |events: &[Event]| {
        let mut story = Story::default();
        story.last(&room).add(Entry::Final { room: "#bob".into(), epoch: "1".into(), events: events.to_vec() });
        story.kinds()
    };
    assert_eq!(kinds(&[told(1, "joined", 1), told(2, "kicked", 2)]), []);
    assert_eq!(kinds(&[told(1, "joined", 1)]), [Kind::NotTold]);
    assert_eq!(kinds(&[told(1, "joined", 1), told(2, "joined", 1), told(3, "kicked", 2)]), [Kind::WronglyTold]);
    assert_eq!(kinds(&[told(1, "kicked", 2), told(2, "joined", 1)]), [Kind::WronglyTold]);
    assert_eq!(kinds(&[told(1, "joined", 1), told(2, "kicked", 2), told(3, "invited", 3)]), [Kind::WronglyTold]);
}

#[test]
fn a_wrong_unread_count_is_found() {
    let events = [created(&["ann", "bob"]), message(2, 1, "ann", "a1"), message(3, 2, "ann", "a2")];
    let kinds = |user: &str, read: u64, unread: u64| {
        let mut story = Story::default();
        story.sent("ann", "a1", 2).sent("ann", "a2", 3);
        if read > 0 {
            let mark = story.invoke(user, What::Read { seq: read });
            story.ok(mark, 0, "");
        }
        story.last(&events).add(Entry::Unread { room: ROOM.into(), user: user.into(), unread });
        story.kinds()
    };
    assert_eq!(kinds("bob", 0, 2), []);
    assert_eq!(kinds("bob", 0, 1), [Kind::Unread]);
    assert_eq!(kinds("bob", 2, 1), []);
    assert_eq!(kinds("bob", 2, 2), [Kind::Unread]);
    assert_eq!(kinds("ann", 0, 0), []);
    assert_eq!(kinds("ann", 0, 1), [Kind::Unread]);
}

#[test]
fn an_invitation_of_somebody_who_is_in_names_the_event_that_let_them_in() {
    let events = [created(&["ann", "bob"]), event(2, "cid", Body::Joined)];
    for (asked, seq, found) in
        [("bob", 1, vec![]), ("cid", 2, vec![]), ("cid", 1, vec![Kind::WrongSeq]), ("bob", 2, vec![Kind::WrongSeq])]
    {
        let mut story = Story::default();
        let join = story.invoke("cid", What::Join);
        story.ok(join, 2, "");
        let op = story.invoke("ann", What::Invite { user: asked.into() });
        story.add(Entry::Ok { op, seq, id: String::new(), duplicate: true }).last(&events);
        assert_eq!(story.kinds(), found, "{asked} at {seq}");
    }
}
