//! The history, sorted by what the rules ask for. Also finds divergence: it is the one place that sees every mention of
//! a (room, seq).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Findings, Kind};
use crate::history::{Body, Entry, Event, Op, PageNo, Rows, Sub, What};

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Ok { at: usize, seq: u64, id: String, duplicate: bool },
    Fail,
    Unknown,
}

/// An attempt at an operation. Times are indices into the history.
pub(crate) struct Attempt<'a> {
    pub room: &'a str,
    pub user: &'a str,
    pub what: &'a What,
    pub invoked: usize,
    pub end: End,
}

pub(crate) struct Subscription<'a> {
    pub room: &'a str,
    pub user: &'a str,
    pub from: Option<&'a crate::history::Position>,
    pub asked: usize,
}

pub(crate) struct PageView<'a> {
    pub room: &'a str,
    pub user: &'a str,
    pub limit: usize,
    pub asked: usize,
    pub got: usize,
    pub items: &'a [Event],
    pub more: bool,
}

/// A room's whole stream as read in the end.
pub(crate) struct Stream<'a> {
    pub epoch: &'a str,
    pub events: &'a [Event],
    pub by_seq: BTreeMap<u64, &'a Event>,
}

impl Stream<'_> {
    pub(crate) fn head(&self) -> u64 {
        self.by_seq.last_key_value().map_or(0, |(seq, _)| *seq)
    }
}

#[derive(Default)]
pub(crate) struct Index<'a> {
    pub attempts: BTreeMap<Op, Attempt<'a>>,
    pub subs: HashMap<Sub, Subscription<'a>>,
    pub pages: Vec<PageView<'a>>,
    pub finals: BTreeMap<&'a str, Stream<'a>>,
    pub present: BTreeMap<&'a str, &'a [Event]>,
    pub rows: BTreeMap<&'a str, &'a Rows>,
    /// (room, user) -> how many messages are called unread.
    pub unread: BTreeMap<(&'a str, &'a str), u64>,
    /// When the first client learned of an event, by an answer, a delivery or a page.
    pub seen: HashMap<(&'a str, u64), usize>,
}

impl<'a> Index<'a> {
    pub(crate) fn build(history: &'a [Entry], findings: &mut Findings) -> Self {
        let mut index = Self::default();
        let mut asked: HashMap<PageNo, (usize, &str, &str, usize)> = HashMap::new();
        let mut truth = Identities::default();
        for (at, entry) in history.iter().enumerate() {
            match entry {
                Entry::Invoke { op, room, user, what } => {
                    index.attempts.insert(*op, Attempt { room, user, what, invoked: at, end: End::Unknown });
                }
                Entry::Ok { op, seq, id, duplicate } => {
                    if let Some(attempt) = index.attempts.get_mut(op) {
                        attempt.end = End::Ok { at, seq: *seq, id: id.clone(), duplicate: *duplicate };
                        if *seq == 0 {
                            continue; // The answer to a `publish` names no place.
                        }
                        index.seen.entry((attempt.room, *seq)).or_insert(at);
                        let client_id = match attempt.what {
                            What::Send { client_id, .. } => Some((attempt.user, client_id.as_str())),
                            _ => None,
                        };
                        truth.mention(attempt.room, *seq, id, client_id, "an acknowledgement", findings);
                    }
                }
                Entry::Fail { op, .. } => {
                    if let Some(attempt) = index.attempts.get_mut(op) {
                        attempt.end = End::Fail;
                    }
                }
                Entry::Subscribing { sub, room, user, from } => {
                    index.subs.insert(*sub, Subscription { room, user, from: from.as_ref(), asked: at });
                }
                Entry::Delivered { sub, event } => {
                    if let Some(sub) = index.subs.get(sub) {
                        index.seen.entry((sub.room, event.seq)).or_insert(at);
                        truth.event(sub.room, event, "a delivery", findings);
                    }
                }
                Entry::Stray { room, user, event } => {
                    findings.add(Kind::Stray, room, format!("{user} got seq {} without a subscription", event.seq));
                }
                Entry::PageAsked { page, room, user, limit } => {
                    asked.insert(*page, (at, room, user, *limit));
                }
                Entry::Page { page, items, more } => {
                    if let Some((asked, room, user, limit)) = asked.remove(page) {
                        for event in items {
                            index.seen.entry((room, event.seq)).or_insert(at);
                            truth.event(room, event, "a history page", findings);
                        }
                        index.pages.push(PageView { room, user, limit, asked, got: at, items, more: *more });
                    }
                }
                Entry::Final { room, epoch, events } => {
                    for event in events {
                        truth.event(room, event, "the final stream", findings);
                    }
                    let by_seq = events.iter().map(|event| (event.seq, event)).collect();
                    index.finals.insert(room, Stream { epoch, events, by_seq });
                }
                Entry::Present { room, messages } => {
                    for event in messages {
                        truth.event(room, event, "the final messages", findings);
                    }
                    index.present.insert(room, messages);
                }
                Entry::Unread { room, user, unread } => {
                    index.unread.insert((room, user), *unread);
                }
                Entry::Rows { room, rows } => {
                    for row in &rows.messages {
                        let client_id = row.client_id.as_deref().map(|client_id| (row.sender.as_str(), client_id));
                        truth.mention(room, row.seq, &row.id, client_id, "the database", findings);
                    }
                    index.rows.insert(room, rows);
                }
                Entry::Unknown { .. }
                | Entry::Subscribed { .. }
                | Entry::Unsubscribed { .. }
                | Entry::Settled { .. } => {}
            }
        }
        index
    }

    /// Sends by what makes them one message: room, sender and client id; each with its attempts in order of time.
    pub(crate) fn sends(&self) -> BTreeMap<(&'a str, &'a str, &'a str), Vec<&Attempt<'a>>> {
        let mut sends: BTreeMap<_, Vec<&Attempt<'a>>> = BTreeMap::new();
        for attempt in self.attempts.values() {
            if let What::Send { client_id, .. } = attempt.what {
                sends.entry((attempt.room, attempt.user, client_id.as_str())).or_default().push(attempt);
            }
        }
        for attempts in sends.values_mut() {
            attempts.sort_by_key(|attempt| attempt.invoked);
        }
        sends
    }

    /// Seqs of messages whose deletion was acknowledged.
    pub(crate) fn deleted(&self, room: &str) -> HashSet<u64> {
        let acked = self.attempts.values().filter(|attempt| attempt.room == room);
        acked
            .filter_map(|attempt| match (attempt.what, &attempt.end) {
                (What::Delete { target }, End::Ok { .. }) => Some(*target),
                _ => None,
            })
            .collect()
    }
}

/// What each seq was when it was first mentioned.
#[derive(Default)]
struct Identities<'a> {
    known: HashMap<(&'a str, u64), Identity<'a>>,
    reported: HashSet<(&'a str, u64)>,
}

struct Identity<'a> {
    id: String,
    /// Sender and client id.
    message: Option<(&'a str, &'a str)>,
    place: &'static str,
}

impl<'a> Identities<'a> {
    fn event(&mut self, room: &'a str, event: &'a Event, place: &'static str, findings: &mut Findings) {
        let message = match &event.body {
            Body::Message { client_id: Some(client_id), .. } => {
                event.actor.as_deref().map(|actor| (actor, client_id.as_str()))
            }
            _ => None,
        };
        self.mention(room, event.seq, &event.id, message, place, findings);
    }

    fn mention(
        &mut self,
        room: &'a str,
        seq: u64,
        id: &str,
        message: Option<(&'a str, &'a str)>,
        place: &'static str,
        findings: &mut Findings,
    ) {
        let Some(known) = self.known.get_mut(&(room, seq)) else {
            self.known.insert((room, seq), Identity { id: id.to_owned(), message, place });
            return;
        };
        let same_id = known.id.is_empty() || id.is_empty() || known.id == id;
        let same_message = known.message.is_none() || message.is_none() || known.message == message;
        if !(same_id && same_message) && self.reported.insert((room, seq)) {
            let before = format!("{} {:?} in {}", known.id, known.message, known.place);
            findings.add(Kind::Divergence, room, format!("seq {seq} is {before} and {id} {message:?} in {place}"));
        }
        if known.id.is_empty() {
            id.clone_into(&mut known.id);
        }
        known.message = known.message.or(message);
    }
}
