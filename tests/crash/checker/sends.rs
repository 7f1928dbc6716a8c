//! Rules about what was asked and what became of it: nothing acknowledged is lost, nothing is there twice, nothing
//! refused or never sent is there, and each device's order is kept.

use std::collections::{BTreeMap, HashMap};

use super::index::{Attempt, End, Index, Stream};
use super::{Findings, Kind};
use crate::history::{Body, Event, What};

/// Where each (room, sender, client id) stands in the final streams.
type Places<'a> = HashMap<(&'a str, &'a str, &'a str), &'a Event>;

pub(crate) fn check(index: &Index<'_>, findings: &mut Findings) {
    let places = places(index, findings);
    let sends = index.sends();
    let heads = acknowledged_heads(index);
    for ((room, user, client_id), attempts) in &sends {
        let Some(stream) = index.finals.get(room) else { continue };
        let place = places.get(&(*room, *user, *client_id)).copied();
        acknowledgements(room, client_id, attempts, place, stream, findings);
        let Some(event) = place else { continue };
        if attempts.iter().all(|attempt| attempt.end == End::Fail) {
            let said = format!("{user} {client_id} was refused and is seq {}", event.seq);
            findings.add(Kind::FailedButPresent, room, said);
        }
        if let (What::Send { text: sent, .. }, Body::Message { text, .. }) = (attempts[0].what, &event.body)
            && text != sent
            && !(text.is_empty() && is_deleted(stream, event.seq))
        {
            findings.add(Kind::WrongText, room, format!("seq {} of {user} is {text:?}, not {sent:?}", event.seq));
        }
        let floor = heads.get(room).map_or(0, |heads| head_before(heads, attempts[0].invoked));
        if event.seq <= floor {
            let said = format!("{user} {client_id} is seq {}, {floor} was acknowledged before it was sent", event.seq);
            findings.add(Kind::RealTime, room, said);
        }
    }
    for (key, event) in &places {
        if !sends.contains_key(key) {
            let said = format!("seq {} ({} of {}) was never sent", event.seq, key.2, key.1);
            findings.add(Kind::FromNowhere, key.0, said);
        }
    }
    other_operations(index, findings);
    device_order(&sends, &places, findings);
}

fn is_deleted(stream: &Stream<'_>, seq: u64) -> bool {
    stream.events.iter().any(|event| event.body == Body::Deleted { target: seq })
}

/// Finds each message of the final streams; a client id that stands there twice is an anomaly.
fn places<'a>(index: &Index<'a>, findings: &mut Findings) -> Places<'a> {
    let mut places: Places<'a> = HashMap::new();
    for (room, stream) in &index.finals {
        for event in stream.by_seq.values() {
            let Body::Message { client_id: Some(client_id), .. } = &event.body else { continue };
            let Some(actor) = event.actor.as_deref() else { continue };
            if let Some(first) = places.insert((*room, actor, client_id.as_str()), *event) {
                let said = format!("{client_id} of {actor} is seq {} and {}", first.seq, event.seq);
                findings.add(Kind::DuplicateClientId, room, said);
            }
        }
    }
    places
}

fn acknowledgements(
    room: &str,
    client_id: &str,
    attempts: &[&Attempt<'_>],
    place: Option<&Event>,
    stream: &Stream<'_>,
    findings: &mut Findings,
) {
    let mut first: Option<(u64, &str)> = None;
    for attempt in attempts {
        let End::Ok { seq, id, .. } = &attempt.end else { continue };
        let (known_seq, known_id) = *first.get_or_insert((*seq, id));
        if (known_seq, known_id) != (*seq, id.as_str()) {
            let said = format!("{client_id} was acknowledged as {known_seq} {known_id} and as {seq} {id}");
            findings.add(Kind::WrongSeq, room, said);
        }
    }
    let Some((seq, id)) = first else { return };
    match place {
        None => {
            let there = stream.by_seq.get(&seq).map_or("nothing", |event| event.body.kind());
            let said = format!("{client_id} was acknowledged as {seq} {id}, there is {there}");
            findings.add(Kind::LostAck, room, said);
        }
        Some(event) if (seq != 0 && event.seq != seq) || (!event.id.is_empty() && !id.is_empty() && event.id != id) => {
            let said = format!("{client_id} was acknowledged as {seq} {id} and is {} {}", event.seq, event.id);
            findings.add(Kind::WrongSeq, room, said);
        }
        Some(_) => {}
    }
}

/// Acknowledged joins, leaves, kicks, edits and deletions stand in the stream where the answer said.
fn other_operations(index: &Index<'_>, findings: &mut Findings) {
    for attempt in index.attempts.values() {
        let (Some(stream), End::Ok { seq, duplicate, .. }) = (index.finals.get(attempt.room), &attempt.end) else {
            continue;
        };
        if *seq == 0 {
            continue; // The answer names no place.
        }
        let Some(event) = stream.by_seq.get(seq) else {
            if !matches!(attempt.what, What::Send { .. }) {
                let said = format!("{:?} of {} was acknowledged as {seq}", attempt.what, attempt.user);
                findings.add(Kind::LostAck, attempt.room, said);
            }
            continue;
        };
        let fits = match (attempt.what, &event.body) {
            // It had been so before: the answer names the event that made it so, whoever asked for that.
            (What::Join, Body::Created { members }) if *duplicate => members.iter().any(|user| user == attempt.user),
            (What::Invite { user: asked }, Body::Created { members }) if *duplicate => members.contains(asked),
            (What::Invite { user: asked }, Body::Joined) if *duplicate => event.actor.as_ref() == Some(asked),
            (What::Send { .. }, _) | (What::Join, Body::Joined) | (What::Leave, Body::Left) => true,
            (What::Edit { target: asked }, Body::Edited { target }) => asked == target,
            (What::Delete { target: asked }, Body::Deleted { target }) => asked == target,
            (What::Kick { user: asked }, Body::Kicked { user }) => asked == user,
            (What::Invite { user: asked }, Body::Invited { user }) => asked == user,
            _ => false,
        };
        let by_whom =
            *duplicate || matches!(attempt.what, What::Send { .. }) || event.actor.as_deref() == Some(attempt.user);
        if !(fits && by_whom) {
            let said = format!("{:?} of {} was acknowledged as {seq}, there is {event:?}", attempt.what, attempt.user);
            findings.add(Kind::WrongSeq, attempt.room, said);
        }
    }
}

/// Per room: (time, highest seq acknowledged by then), ascending.
fn acknowledged_heads<'a>(index: &Index<'a>) -> HashMap<&'a str, Vec<(usize, u64)>> {
    let mut acks: HashMap<&str, Vec<(usize, u64)>> = HashMap::new();
    for attempt in index.attempts.values() {
        if let End::Ok { at, seq, .. } = &attempt.end {
            acks.entry(attempt.room).or_default().push((*at, *seq));
        }
    }
    for acks in acks.values_mut() {
        acks.sort_unstable();
        let mut head = 0;
        for (_, seq) in acks.iter_mut() {
            head = head.max(*seq);
            *seq = head;
        }
    }
    acks
}

fn head_before(heads: &[(usize, u64)], time: usize) -> u64 {
    let count = heads.partition_point(|(at, _)| *at < time);
    count.checked_sub(1).map_or(0, |last| heads[last].1)
}

/// A message of a device: when it was first sent, its seq, its client id.
type Sent<'a> = (usize, u64, &'a str);

fn device_order(sends: &BTreeMap<(&str, &str, &str), Vec<&Attempt<'_>>>, places: &Places<'_>, findings: &mut Findings) {
    let mut devices: BTreeMap<(&str, &str, &str), Vec<Sent<'_>>> = BTreeMap::new();
    for (key, attempts) in sends {
        let (What::Send { device, .. }, Some(event)) = (attempts[0].what, places.get(key)) else { continue };
        devices.entry((key.0, key.1, device)).or_default().push((attempts[0].invoked, event.seq, key.2));
    }
    for ((room, user, device), mut sent) in devices {
        sent.sort_unstable();
        for pair in sent.windows(2) {
            let ((_, first, first_id), (_, second, second_id)) = (pair[0], pair[1]);
            if second < first {
                let said = format!("{user}/{device} sent {first_id} (seq {first}) before {second_id} (seq {second})");
                findings.add(Kind::SenderOrder, room, said);
            }
        }
    }
}
