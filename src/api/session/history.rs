//! `history`: publications of a channel for those who are subscribed, up to where they stand themselves: a user who is
//! removed has no place in the channel any more, and gets nothing above that seq (P6), told or not.

use std::sync::Arc;

use super::{Server, Session};
use crate::actors::gateway::hub::StreamKey;
use crate::actors::wire::FetchError;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::error_map::fetch_error;
use crate::api::protocol::publication::stream_publication;
use crate::api::protocol::{Error, HistoryRequest, HistoryResult, Publication, Reply, ReplyBody};
use crate::epoch::History;
use crate::ids::{Generation, Seq};
use crate::limits;

/// The events asked for: `from` to `to`, both included, in one direction.
pub struct Range {
    /// The first.
    pub from: Seq,
    /// The last.
    pub to: Seq,
    /// How many at most.
    pub limit: usize,
    /// From the last to the first.
    pub(crate) reverse: bool,
}

impl Session {
    pub(super) fn history(&mut self, id: u32, request: HistoryRequest) {
        match self.history_range(&request) {
            Ok((key, generation, head, range)) => {
                let server = self.server.clone();
                let channel = request.channel;
                let fetch = async move {
                    let publications = fetch(&server, &key, generation, range).await?;
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
        self.ask(usize::try_from(request.limit).unwrap_or(limits::HISTORY_PAGE).min(limits::HISTORY_PAGE))?;
        let range = range(request, self.server.history(), generation, head)?;
        Ok((sub.place.key().clone(), generation, head, range))
    }
}

/// What a request means for a stream that stands at `head`.
///
/// # Errors
/// 112 for a position of another history or generation.
pub(crate) fn range(
    request: &HistoryRequest,
    history: History,
    generation: Generation,
    head: Seq,
) -> Result<Range, Error> {
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

/// The publications of a range, in the order asked for; what is gone is left out, and what no page holds any more. Who may
/// see them, the caller has checked.
///
/// # Errors
/// The owner can't give them now.
pub(crate) async fn fetch(
    server: &Arc<Server>,
    key: &StreamKey,
    generation: Generation,
    range: Range,
) -> Result<Vec<Publication>, Error> {
    let Range { from, to, limit, reverse } = range;
    let source = Source { server, key, generation };
    let mut publications = Vec::new();
    if !reverse {
        source.upwards(from, to, limit, limits::PAGE_BYTES, &mut publications).await?;
    } else {
        let (mut high, mut stretch) = (to, STRETCH);
        while publications.len() < limit && from <= high && weight(&publications) < limits::PAGE_BYTES {
            let count = stretch.min(limit - publications.len());
            let low = Seq(high.0.saturating_sub(count as u64 - 1)).max(from);
            let mut part = Vec::new();
            source.upwards(low, high, count, usize::MAX, &mut part).await?;
            part.reverse();
            let Some(first) = part.last().map(|publication| Seq(publication.offset)).filter(|first| *first == low)
            else {
                // What lies below is gone.
                publications.append(&mut part);
                break;
            };
            publications.append(&mut part);
            high = Seq(first.0.saturating_sub(1));
            stretch = MOST_STRETCH.min(stretch * 2);
        }
    }
    cut(&mut publications);
    Ok(publications)
}

/// Publications that are read at first when they are read downwards; then twice as many each time, up to the other number.
/// How large they are shows only then.
const STRETCH: usize = 8;
const MOST_STRETCH: usize = 32;

/// Where publications come from.
struct Source<'a> {
    server: &'a Server,
    key: &'a StreamKey,
    generation: Generation,
}

impl Source<'_> {
    /// Adds what there is from `from` to `to`, at most `limit` of it, until `most` bytes are reached.
    async fn upwards(
        &self,
        mut from: Seq,
        to: Seq,
        limit: usize,
        most: usize,
        into: &mut Vec<Publication>,
    ) -> Result<(), Error> {
        let Self { server, key, generation } = self;
        let mut left = limit;
        let mut bytes = 0;
        while left > 0 && from <= to && bytes < most {
            let last = Seq(from.0.saturating_add(left as u64 - 1)).min(to);
            let page = match server.router.fetch(key.stream.clone(), from, last).await {
                Ok((found, page)) if found == *generation && !page.is_empty() => page,
                Ok(_) => return Err(ErrorCode::UNAVAILABLE.into()),
                Err(FetchError::Gone { floor }) if floor > from => {
                    from = floor;
                    continue;
                }
                Err(error) => return Err(fetch_error(error)),
            };
            let before = left;
            for event in page.iter() {
                if event.seq() != from || from > last {
                    break;
                }
                from = from.next();
                left -= 1;
                bytes += event.weight();
                into.push(stream_publication(event, key.open));
            }
            if left == before {
                return Err(ErrorCode::UNAVAILABLE.into());
            }
        }
        Ok(())
    }
}

/// Keeps the first publications that fit into a page, one at least.
fn cut(publications: &mut Vec<Publication>) {
    let mut bytes = 0;
    let fits = publications.iter().take_while(|publication| {
        bytes += bytes_of(publication);
        bytes <= limits::PAGE_BYTES
    });
    let fits = fits.count().max(1);
    publications.truncate(fits);
}

fn weight(publications: &[Publication]) -> usize {
    publications.iter().map(bytes_of).sum()
}

/// Bytes of a publication as it is sent, about.
fn bytes_of(publication: &Publication) -> usize {
    let info = publication
        .info
        .as_ref()
        .map_or(0, |info| info.user.len() + info.client.len() + info.conn_info.len() + info.chan_info.len());
    publication.data.len() + info + 64
}
