//! Rules about history pages: they hold the caller's own acknowledged messages, and nothing that is gone in the end.

use std::collections::{BTreeMap, HashMap};

use super::index::{End, Index, PageView};
use super::{Findings, Kind};
use crate::history::{Body, What};

pub(crate) fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut own: HashMap<(&str, &str), BTreeMap<u64, usize>> = HashMap::new();
    for attempt in index.attempts.values() {
        if let (What::Send { .. }, End::Ok { at, seq, .. }) = (attempt.what, &attempt.end) {
            let acked = own.entry((attempt.room, attempt.user)).or_default().entry(*seq).or_insert(*at);
            *acked = (*acked).min(*at);
        }
    }
    for page in &index.pages {
        if let Some(acked) = own.get(&(page.room, page.user)) {
            own_writes(page, acked, findings);
        }
        phantoms(page, index, findings);
    }
    redaction(index, findings);
}

fn own_writes(page: &PageView<'_>, acked: &BTreeMap<u64, usize>, findings: &mut Findings) {
    let lowest = page.items.iter().map(|event| event.seq).min().unwrap_or(0);
    // While the database is away a page may be short and say that there is more.
    let from = if page.items.len() < page.limit && !page.more { 0 } else { lowest };
    for (seq, at) in acked.range(from..) {
        if *at < page.asked && !page.items.iter().any(|event| event.seq == *seq) {
            let said = format!("{} asked after {seq} was acknowledged and got a page without it", page.user);
            findings.add(Kind::ReadYourWrite, page.room, said);
        }
    }
}

fn phantoms(page: &PageView<'_>, index: &Index<'_>, findings: &mut Findings) {
    let Some(stream) = index.finals.get(page.room) else { return };
    for event in page.items {
        if !stream.by_seq.contains_key(&event.seq) {
            findings.add(Kind::Phantom, page.room, format!("{} read {}, gone in the end", page.user, event.seq));
        }
    }
}

/// A message whose deletion was acknowledged has no text anywhere any more.
fn redaction(index: &Index<'_>, findings: &mut Findings) {
    for (room, stream) in &index.finals {
        let deleted = index.deleted(room);
        if deleted.is_empty() {
            continue;
        }
        let present = index.present.get(room).into_iter().flat_map(|messages| messages.iter());
        for event in present.chain(stream.events) {
            if let Body::Message { text, .. } = &event.body
                && deleted.contains(&event.seq)
                && !text.is_empty()
            {
                findings.add(Kind::Unredacted, room, format!("seq {} is deleted and says {text:?}", event.seq));
            }
        }
        if let Some(rows) = index.rows.get(room) {
            for row in rows.messages.iter().filter(|row| deleted.contains(&row.seq) && !row.text.is_empty()) {
                findings.add(Kind::Unredacted, room, format!("row {} is deleted and says {:?}", row.seq, row.text));
            }
        }
    }
}
