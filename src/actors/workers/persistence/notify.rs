//! What a user should notice of what others did: a row beside the event of the user's stream, made with it. Messages are none: those
//! are counted by the room's unread count.

use uuid::Uuid;

use crate::actors::wire::{RoomChange, UserEvent, UserEventBody};
use crate::actors::workers::row_id;
use crate::ids::{Seq, Timestamp, UserId};
use crate::storage::store::rows::NotificationRow;

/// The notification of an event, if it is one: somebody else did it.
pub(super) fn notification(user: &UserId, event: &UserEvent) -> Option<NotificationRow> {
    let UserEventBody::Room { room, change, by, .. } = &event.body else { return None };
    let by = by.as_ref().filter(|by| *by != user)?;
    let (kind, title, does) = match change {
        RoomChange::Invited => ("room.invited", "Invitation", "invites you to a chat"),
        RoomChange::Joined => ("room.joined", "New chat", "has a chat with you now"),
        RoomChange::Kicked => ("room.kicked", "Removed", "removed you from a chat"),
        RoomChange::Ended => ("room.ended", "Chat ended", "ended a chat"),
        RoomChange::Reopened => ("room.reopened", "Chat opened", "opened a chat again"),
        RoomChange::Left => return None,
    };
    let data = serde_json::json!({ "room": room.0, "by": by.as_str() });
    Some(NotificationRow {
        user: user.clone(),
        id: id(user, event.seq, event.at),
        kind,
        title,
        message: format!("{by} {does}"),
        data: data.to_string(),
        at: event.at,
    })
}

/// It follows from the event.
fn id(user: &UserId, seq: Seq, at: Timestamp) -> Uuid {
    row_id(&format!("{user}\0{}", seq.0), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_has_the_same_id_and_later_ones_have_higher_ids() {
        let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new("bob").unwrap());
        assert_eq!(id(&ann, Seq(1), Timestamp(5)), id(&ann, Seq(1), Timestamp(5)));
        assert_ne!(id(&ann, Seq(1), Timestamp(5)), id(&bob, Seq(1), Timestamp(5)));
        assert!(id(&ann, Seq(1), Timestamp(6)) > id(&ann, Seq(2), Timestamp(5)));
        assert_eq!(id(&ann, Seq(1), Timestamp(5)).get_version_num(), 7);
    }
}
