//! Events that applications hand in for their own analysis: written once, read by whoever analyses the database, and swept
//! when they are old.

use uuid::Uuid;

use super::sql::{Binder, Bulk, Connections};
use super::store::StoreError;
use crate::ids::{RoomId, Timestamp, UserId};

const SWEEP: &str = "DELETE FROM analytics_events WHERE created_at < ?";

#[cfg(test)]
pub(super) use tests::CHECKS;

/// Every statement that looks for rows, for the test of indexes.
#[cfg(test)]
pub(super) const SQL: [&str; 1] = [SWEEP];

/// Something that an application saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AnalyticsEvent {
    /// Its id.
    pub id: Uuid,
    /// What, in the application's words.
    pub kind: String,
    /// Who handed it in.
    pub user: UserId,
    /// The chat that it is about.
    pub chat: Option<RoomId>,
    /// JSON text.
    pub data: String,
    /// The application's own session that it belongs to.
    pub session: Option<String>,
    /// When it was handed in.
    pub at: Timestamp,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Analytics {
    connections: Connections,
    insert: Bulk,
}

impl Analytics {
    /// Over open connections.
    #[must_use]
    pub(crate) fn new(connections: Connections) -> Self {
        let insert = Bulk::insert("analytics_events", "uuid, event_type, user_id, chat, data, session_id, created_at");
        Self { connections, insert }
    }

    /// Takes events, all or none.
    ///
    /// # Errors
    /// The store; so for each of the following.
    pub(crate) async fn take(&self, events: Vec<AnalyticsEvent>) -> Result<(), StoreError> {
        let mut change = self.connections.direct().change().await?;
        let bind = |b: &mut Binder, event: AnalyticsEvent| {
            b.uuid(event.id).text(event.kind).text(event.user.as_str());
            b.opt_uuid(event.chat.map(|chat| chat.0)).text(event.data).opt_text(event.session).int(event.at.as_i64());
        };
        change.session().bulk(&self.insert, events, bind).await?;
        change.commit().await
    }

    /// Removes events from before this time. Returns how many.
    pub(crate) async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.connections.direct().execute(SWEEP, |b| _ = b.int(before.as_i64())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RoomId;
    use crate::storage::sql::support;
    use crate::storage::store::contract::user_id;

    support::sql_suite!(
        events_are_taken_all_or_none
        old_ones_are_swept_and_no_others
    );

    fn event(n: u128) -> AnalyticsEvent {
        let chat = n.is_multiple_of(2).then_some(RoomId(Uuid::from_u128(9)));
        let data = r#"{"n":1e999999}"#.to_owned();
        AnalyticsEvent {
            id: Uuid::from_u128(n),
            kind: "opened".to_owned(),
            user: user_id("ann"),
            chat,
            data,
            session: n.is_multiple_of(3).then(|| format!("session {n}")),
            at: Timestamp(n as u64),
        }
    }

    async fn all(connections: &Connections) -> Vec<AnalyticsEvent> {
        const ALL: &str =
            "SELECT uuid, event_type, user_id, chat, data, session_id, created_at FROM analytics_events ORDER BY uuid";
        let read = |c: &mut crate::storage::sql::Columns<'_>| {
            let (id, kind, user) = (c.uuid()?, c.text()?, c.user()?);
            let (chat, data, session) = (c.opt_uuid()?.map(RoomId), c.text()?, c.opt_text()?);
            Ok(AnalyticsEvent { id, kind, user, chat, data, session, at: c.time()? })
        };
        connections.clients().list(ALL, |_| (), read).await.unwrap()
    }

    async fn events_are_taken_all_or_none(connections: &Connections) {
        let rows = Analytics::new(connections.clone());
        let events: Vec<_> = (0..100).map(event).collect();
        rows.take(events.clone()).await.unwrap();
        rows.take(vec![]).await.unwrap();
        assert_eq!(all(connections).await, events);
        let doubled = (90..110).map(event).collect();
        assert!(rows.take(doubled).await.is_err(), "one is there already");
        assert_eq!(all(connections).await, events);
    }

    async fn old_ones_are_swept_and_no_others(connections: &Connections) {
        let rows = Analytics::new(connections.clone());
        rows.take((0..10).map(event).collect()).await.unwrap();
        assert_eq!(rows.sweep(Timestamp(4)).await.unwrap(), 4);
        assert_eq!(all(connections).await, (4..10).map(event).collect::<Vec<_>>());
    }
}
