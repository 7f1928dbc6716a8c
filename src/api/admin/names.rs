//! What people call rooms and users: titles and names, looked up for the page that is shown, and lists searched by them.
//!
//! Rows can only be read by id, so a search looks at a bounded number of them and says from where to go on.

use super::Live;
use super::extract::{Page, stored};
use super::tree::ActorId;
use crate::api::http::HttpError;
use crate::ids::{RoomId, UserId};
use crate::storage::accounts::Account;
use crate::storage::store::StoreError;

/// Rows that a search looks at in one request.
const SCAN: usize = 10_000;
/// Rows that are read at a time.
const STEP: usize = 1_000;
/// Lines of a page up to which names are looked up: a longer one is read by programs.
pub(super) const NAMED: usize = 100;

/// What people call an actor; none if it has no name, or the store does not say now.
pub(super) async fn of_actor(live: &Live, id: &ActorId) -> Option<String> {
    match id {
        ActorId::Room(room) => of_room(live, *room).await,
        ActorId::User(user) => of_user(live, user).await,
        ActorId::Session(client) => live.hub.sessions().find(*client).map(|connection| connection.user.to_string()),
        _ => None,
    }
}

async fn of_room(live: &Live, room: RoomId) -> Option<String> {
    let chat = live.node.store().chat(room).await.ok()??;
    [chat.title, chat.channel].into_iter().find(|name| !name.is_empty())
}

/// The name of somebody with an account.
pub(super) async fn of_user(live: &Live, user: &UserId) -> Option<String> {
    live.accounts.account(user).await.ok()?.and_then(|account| of_account(&account))
}

fn of_account(account: &Account) -> Option<String> {
    let full = format!("{} {}", account.first_name, account.last_name);
    [full.trim(), &account.username].into_iter().find(|name| !name.is_empty()).map(str::to_owned)
}

/// Users whose name begins with `text`, at most `limit`; for the first page of a search.
pub(super) async fn users_called(live: &Live, text: &str, limit: usize) -> Vec<UserId> {
    let found = live.accounts.find(text, u32::try_from(limit).unwrap_or(u32::MAX)).await.unwrap_or_default();
    found.into_iter().map(|account| account.id).collect()
}

/// Whether one of these holds `text`, in whatever case.
pub(super) fn holds<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> bool {
    let text = text.to_lowercase();
    names.into_iter().any(|name| name.to_lowercase().contains(&text))
}

/// The rows after `after` that fit, up to `limit`, of the next [`SCAN`]. `next` is where to go on, also when nothing was found
/// among those.
///
/// # Errors
/// The store does not answer.
pub(super) async fn search<AdminUser, Id: Clone + ToString, Read>(
    mut after: Option<Id>,
    limit: usize,
    read: impl Fn(Option<Id>, usize) -> Read,
    id: impl Fn(&AdminUser) -> Id,
    fits: impl Fn(&AdminUser) -> bool,
) -> Result<Page<AdminUser>, HttpError>
where
    Read: Future<Output = Result<Vec<AdminUser>, StoreError>>,
{
    let mut items = Vec::new();
    for _ in 0..SCAN / STEP {
        let rows = read(after.clone(), STEP).await.map_err(stored)?;
        let is_last = rows.len() < STEP;
        for row in rows {
            if items.len() == limit {
                return Ok(Page { items, next: after.map(|after| after.to_string()) });
            }
            after = Some(id(&row));
            if fits(&row) {
                items.push(row);
            }
        }
        if is_last {
            return Ok(Page { items, next: None });
        }
    }
    Ok(Page { items, next: after.map(|after| after.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers below `end`, as a store would give them.
    fn numbers(end: usize, after: Option<usize>, limit: usize) -> Vec<usize> {
        let from = after.map_or(0, |after| after + 1);
        (from..end).take(limit).collect()
    }

    async fn found(end: usize, after: Option<usize>, limit: usize, of: usize) -> Page<usize> {
        let read = |after, limit| std::future::ready(Ok(numbers(end, after, limit)));
        search(after, limit, read, |row| *row, |row| row % of == 0).await.unwrap()
    }

    #[tokio::test]
    async fn a_search_goes_on_where_it_stopped_and_misses_nothing() {
        for (end, limit, of) in [(0, 3, 1), (3, 3, 1), (2_500, 7, 100), (25_000, 100, 7), (12_000, 5, 11_000)] {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = found(end, after, limit, of).await;
                assert!(page.items.len() <= limit);
                all.extend(page.items);
                match page.next {
                    Some(next) => after = Some(next.parse().unwrap()),
                    None => break,
                }
            }
            assert_eq!(all, (0..end).step_by(of).collect::<Vec<_>>(), "{end} {limit} {of}");
        }
    }

    #[tokio::test]
    async fn a_search_looks_at_a_bounded_number_of_rows() {
        let page = found(25_000, None, 5, 100_000).await;
        assert_eq!((page.items, page.next), (vec![0], Some((SCAN - 1).to_string())));
    }
}
