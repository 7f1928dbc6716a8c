//! The database after the run equals the stream that clients saw.

use std::collections::HashMap;

use super::index::{Index, Stream};
use super::{Findings, Kind};
use crate::history::{Body, Event, Rows};

pub(crate) fn check(index: &Index<'_>, findings: &mut Findings) {
    for (room, rows) in &index.rows {
        let Some(stream) = index.finals.get(room) else {
            findings.add(Kind::RowsDiffer, room, "rows of a room that has no stream".to_owned());
            continue;
        };
        events(room, rows, stream, findings);
        messages(room, rows, stream, index, findings);
    }
}

fn events(room: &str, rows: &Rows, stream: &Stream<'_>, findings: &mut Findings) {
    if rows.head != stream.head() {
        findings.add(Kind::RowsDiffer, room, format!("head {} and not {}", rows.head, stream.head()));
    }
    let mut of_stream = stream.by_seq.values();
    for row in &rows.events {
        let Some(event) = of_stream.next() else {
            findings.add(Kind::RowsDiffer, room, format!("row {} is in no stream", row.seq));
            continue;
        };
        if (row.seq, row.kind.as_str(), &row.actor) != (event.seq, event.body.kind(), &event.actor) {
            findings.add(Kind::RowsDiffer, room, format!("row {row:?} and event {event:?}"));
        }
    }
    let missing = of_stream.count();
    if missing > 0 {
        findings.add(Kind::RowsDiffer, room, format!("{missing} events have no row"));
    }
}

fn messages(room: &str, rows: &Rows, stream: &Stream<'_>, index: &Index<'_>, findings: &mut Findings) {
    let count = stream.by_seq.values().filter(|event| matches!(event.body, Body::Message { .. })).count();
    if rows.messages_head != count as u64 || rows.messages.len() != count {
        let said = format!("{} message rows, head {}, {count} messages", rows.messages.len(), rows.messages_head);
        findings.add(Kind::RowsDiffer, room, said);
    }
    let present = index.present.get(room).into_iter().flat_map(|messages| messages.iter());
    let present: HashMap<u64, &Event> = present.map(|message| (message.seq, message)).collect();
    for row in &rows.messages {
        let event = stream.by_seq.get(&row.seq);
        let same = event.is_some_and(|event| match &event.body {
            Body::Message { no, client_id, .. } => {
                // An open channel's publications tell neither number nor id.
                (*no == 0 || *no == row.no)
                    && *client_id == row.client_id
                    && (event.id.is_empty() || event.id == row.id)
                    && event.actor.as_deref() == Some(row.sender.as_str())
            }
            _ => false,
        });
        if !same {
            findings.add(Kind::RowsDiffer, room, format!("message row {row:?} and event {event:?}"));
        }
        if let Some(Body::Message { text, .. }) = present.get(&row.seq).map(|message| &message.body)
            && *text != row.text
        {
            findings.add(Kind::RowsDiffer, room, format!("row {} says {:?}, history {text:?}", row.seq, row.text));
        }
    }
}
