//! `history`: publications of a channel for those who are subscribed, up to where they stand themselves: whoever is removed
//! has no place in the channel any more, and gets nothing above that seq (P6), whether or not he has been told.

use std::sync::Arc;

use super::{Server, Session};
use crate::actors::gateway::frames::{FetchError, StreamEvent};
use crate::actors::gateway::hub::StreamKey;
use crate::api::answer::fetch_error;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::{Error, HistoryRequest, HistoryResult, Reply, ReplyBody};
use crate::api::publication::stream_publication;
use crate::epoch::History;
use crate::ids::{Generation, Seq};
use crate::limits;

/// Bytes of events in one reply, about. A page that is cut short goes on with `since`.
const REPLY_BYTES: usize = 256 * 1024;

/// The events asked for: `from` to `to`, both included, in one direction.
pub struct Range {
    /// The first.
    pub from: Seq,
    /// The last.
    pub to: Seq,
    /// How many at most.
    pub limit: usize,
    /// From the last to the first.
    pub reverse: bool,
}

impl Session {
    pub(super) fn history(&mut self, id: u32, request: HistoryRequest) {
        match self.history_range(&request) {
            Ok((key, generation, head, range)) => {
                let server = self.server.clone();
                let channel = request.channel;
                let fetch = async move {
                    let events = fetch(&server, &key, generation, range).await?;
                    let publications = events.iter().map(|event| stream_publication(event, key.open)).collect();
                    Ok(HistoryResult { publications, epoch: server.history().epoch(generation), offset: head.0 })
                };
                // One at a time: a page may be large.
                self.gate(fetch, move |session, result: Result<HistoryResult, Error>| match result {
                    Ok(result) if session.may_act(&channel) => {
                        session.reply(Reply::new(id, ReplyBody::History(result)))
                    }
                    Ok(_) => session.refuse(id, ErrorCode::PERMISSION_DENIED),
                    Err(error) => session.refuse(id, error),
                });
            }
            Err(error) => self.refuse(id, error),
        }
    }

    fn history_range(&self, request: &HistoryRequest) -> Result<(StreamKey, Generation, Seq, Range), Error> {
        let Some(connection) = &self.connection else { return Err(ErrorCode::UNAUTHORIZED.into()) };
        let rules = self.server.options.channels.find(&request.channel, &connection.user)?.rules;
        if !rules.history {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        let sub = self.sub(&request.channel).ok_or(ErrorCode::PERMISSION_DENIED)?;
        let (generation, head) = sub.place.place().ok_or(ErrorCode::PERMISSION_DENIED)?;
        let range = range(request, self.server.history(), generation, head)?;
        Ok((sub.place.key().clone(), generation, head, range))
    }
}

/// What a request means for a stream that stands at `head`.
///
/// # Errors
/// 112 for a position of another history or generation.
pub fn range(request: &HistoryRequest, history: History, generation: Generation, head: Seq) -> Result<Range, Error> {
    let since = request.since.as_ref();
    if since.is_some_and(|since| !history.read(&since.epoch).fits(generation)) {
        return Err(ErrorCode::UNRECOVERABLE_POSITION.into());
    }
    let limit = usize::try_from(request.limit).unwrap_or(limits::HISTORY_PAGE).min(limits::HISTORY_PAGE);
    let (from, to) = match (since, request.reverse) {
        (None, _) => (Seq(1), head),
        (Some(since), false) => (Seq(since.offset.saturating_add(1)), head),
        (Some(since), true) => (Seq(1), Seq(since.offset.saturating_sub(1)).min(head)),
    };
    Ok(Range { from, to, limit, reverse: request.reverse })
}

/// The events of a range, in the order asked for; what is gone is left out. Who may see them, the caller has checked.
///
/// # Errors
/// The owner can't give them now.
pub async fn fetch(
    server: &Arc<Server>,
    key: &StreamKey,
    generation: Generation,
    range: Range,
) -> Result<Vec<StreamEvent>, Error> {
    let Range { mut from, to, limit, reverse } = range;
    if limit == 0 || from > to {
        return Ok(Vec::new());
    }
    let mut last = if reverse { to } else { Seq((from.0 + limit as u64 - 1).min(to.0)) };
    let oldest = from;
    if reverse {
        from = Seq(to.0.saturating_sub(limit as u64 - 1)).max(oldest);
    }
    let mut events: Vec<StreamEvent> = Vec::new();
    let mut bytes = 0;
    while from <= last && (reverse || bytes < REPLY_BYTES) {
        let page = match server.hub.fetch(key.stream.clone(), from, last).get().await {
            Ok((found, page)) if found == generation && !page.is_empty() => page,
            Ok(_) => return Err(ErrorCode::UNAVAILABLE.into()),
            Err(FetchError::Gone { floor }) if floor > from => {
                from = floor;
                if !reverse {
                    last = Seq((from.0 + limit as u64 - 1).min(to.0));
                }
                continue;
            }
            Err(error) => return Err(fetch_error(error)),
        };
        let before = events.len();
        for event in page.iter() {
            if event.seq() != from || from > last {
                break;
            }
            from = from.next();
            bytes += event.weight();
            events.push(event.clone());
        }
        if events.len() == before {
            return Err(ErrorCode::UNAVAILABLE.into());
        }
    }
    if reverse {
        events.reverse();
    }
    cut(&mut events);
    Ok(events)
}

/// Keeps the first events that fit into a reply, one at least.
fn cut(events: &mut Vec<StreamEvent>) {
    let mut bytes = 0;
    let fits = events.iter().take_while(|event| {
        bytes += event.weight();
        bytes <= REPLY_BYTES
    });
    let fits = fits.count().max(1);
    events.truncate(fits);
}
