//! Who is notified of a message, and what about: pure. Whether somebody is online never matters: a socket that is open may
//! belong to a phone in a pocket. What counts is that a device said so, by reading or by acknowledging.

use uuid::Uuid;

use super::providers::NotificationChannel;
use crate::actors::workers::row_id;
use crate::ids::{RoomId, Seq, Timestamp, UserId};
use crate::storage::notifications::devices::PushDevice;
use crate::storage::notifications::facts::{NotifiedMember, NotifiedMessage, NotifiedRoom};
use crate::storage::notifications::outbox::OutgoingNotification;
use crate::storage::store::rows::NotificationRow;

/// What a notification of a message is called, for programs.
pub(crate) const MESSAGE: &str = "message";

/// Namespace of the ids of what goes to providers. Fixed for life: receivers know what they have by them.
const OUTGOING: Uuid = Uuid::from_u128(0x6b65_7276_616e_5000_8000_0000_0000_0004);

/// Whether a member is notified of a message. `acknowledged` says how far a device of the member's has it, as far as anybody
/// knows; nothing known means that it has not.
pub(super) fn is_notified(message: &NotifiedMessage, member: &NotifiedMember, acknowledged: Option<Seq>) -> bool {
    let NotifiedMember { user, joined, sent_no, read, blocks_sender, muted_until } = member;
    let was_in = *joined < message.seq;
    // One's own message moves one's own mark.
    let has_read = *read >= message.seq || *sent_no >= message.no;
    let has_it = acknowledged.is_some_and(|seq| seq >= message.seq);
    // Of what was said while it was muted nobody hears later either.
    let wants_it = message.at >= *muted_until && !blocks_sender && message.sender.as_ref() != Some(user);
    was_in && wants_it && !has_read && !has_it && !message.deleted
}

/// What the user sees: the row of a message's notification. Without what the message says, so that a deletion has nothing to
/// look for here.
pub(super) fn row(user: &UserId, room: RoomId, about: &NotifiedRoom, message: &NotifiedMessage) -> NotificationRow {
    let by = message.sender.as_ref().map_or("Somebody", UserId::as_str);
    let place = if about.title.is_empty() { String::new() } else { format!(" in {}", about.title) };
    let data = serde_json::json!({ "room": room.0, "seq": message.seq.0, "by": message.sender });
    NotificationRow {
        user: user.clone(),
        id: row_id(&format!("{MESSAGE}\0{user}\0{}\0{}", room.0, message.seq.0), message.at),
        kind: MESSAGE,
        title: "New message",
        message: format!("{by} wrote{place}"),
        data: data.to_string(),
        at: message.at,
    }
}

/// The ways out to a user: one for each channel that is told of users, and one for each device whose channel there is. The
/// latter come with the device.
pub(super) fn ways<'a>(
    channels: &[NotificationChannel],
    user: &UserId,
    devices: &'a [PushDevice],
) -> Vec<(NotificationChannel, &'a str)> {
    let of_user = channels.iter().filter(|channel| !channel.is_push()).map(|channel| (*channel, ""));
    let own = devices.iter().filter(|device| device.user == *user);
    let of_devices = own.filter_map(|device| {
        let channel = NotificationChannel::of_device(&device.platform, &device.token_start)?;
        channels.contains(&channel).then_some((channel, device.device.as_str()))
    });
    of_user.chain(of_devices).collect()
}

/// What a provider is told; `device` is empty where it does not want to know.
pub(super) fn outgoing(
    channel: NotificationChannel,
    device: &str,
    row: &NotificationRow,
    (room, message): (RoomId, &NotifiedMessage),
    now: Timestamp,
) -> OutgoingNotification {
    OutgoingNotification {
        id: outgoing_id(channel, device, &row.user, room, message.seq),
        channel: channel.name().to_owned(),
        device: device.to_owned(),
        user: row.user.clone(),
        room,
        seq: message.seq,
        kind: MESSAGE.to_owned(),
        by: message.sender.clone(),
        row: row.id,
        at: message.at,
        attempts: 0,
        next_at: now,
    }
}

/// The idempotency key. No part of it can hold a NUL.
fn outgoing_id(channel: NotificationChannel, device: &str, user: &UserId, room: RoomId, seq: Seq) -> Uuid {
    let place = format!("{}\0{device}\0{user}\0{}\0{}\0{MESSAGE}", channel.name(), room.0, seq.0);
    Uuid::new_v5(&OUTGOING, place.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::MessageNo;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn message(seq: u64, no: u64) -> NotifiedMessage {
        let (sender, id, at) = (Some(user("ann")), Uuid::from_u128(9), Timestamp(1_000));
        NotifiedMessage { seq: Seq(seq), id, no: MessageNo(no), sender, at, deleted: false }
    }

    fn member(name: &str) -> NotifiedMember {
        NotifiedMember {
            user: user(name),
            joined: Seq(1),
            sent_no: MessageNo::ZERO,
            read: Seq::ZERO,
            blocks_sender: false,
            muted_until: Timestamp::ZERO,
        }
    }

    #[test]
    fn one_reason_is_enough_not_to_notify() {
        let (message, bob) = (message(5, 3), member("bob"));
        assert!(is_notified(&message, &bob, None));
        assert!(is_notified(&message, &bob, Some(Seq(4))), "an older one is acknowledged");
        assert!(!is_notified(&message, &bob, Some(Seq(5))));
        assert!(!is_notified(&message, &member("ann"), None), "the sender");
        assert!(!is_notified(&message, &NotifiedMember { joined: Seq(6), ..bob.clone() }, None), "came later");
        assert!(!is_notified(&message, &NotifiedMember { read: Seq(5), ..bob.clone() }, None), "has read it");
        assert!(!is_notified(&message, &NotifiedMember { sent_no: MessageNo(4), ..bob.clone() }, None), "has answered");
        assert!(!is_notified(&message, &NotifiedMember { blocks_sender: true, ..bob.clone() }, None));
        let muted = |until| NotifiedMember { muted_until: Timestamp(until), ..bob.clone() };
        assert!(!is_notified(&message, &muted(1_001), None), "said before the mute ends");
        assert!(is_notified(&message, &muted(1_000), None), "its end is over");
        assert!(!is_notified(&NotifiedMessage { deleted: true, ..message }, &bob, None));
    }

    proptest! {
        /// Reading further, acknowledging more, muting or blocking never makes a notification come that would not have.
        #[test]
        fn knowing_more_of_a_member_never_adds_a_notification(
            seq in 1_u64..20, no in 1_u64..20, joined in 0_u64..20, sent in 0_u64..20, read in 0_u64..20,
            known in proptest::option::of(0_u64..20), more in 0_u64..20, muted in 0_u64..2_000, blocks_sender: bool,
        ) {
            let message = message(seq, no);
            let less = NotifiedMember {
                joined: Seq(joined), sent_no: MessageNo(sent), read: Seq(read), ..member("bob")
            };
            let with_more = NotifiedMember {
                sent_no: MessageNo(sent.max(more)), read: Seq(read.max(more)), muted_until: Timestamp(muted), blocks_sender,
                ..less.clone()
            };
            let (known, known_more) = (known.map(Seq), known.map(|known| Seq(known.max(more))));
            prop_assert!(is_notified(&message, &less, known) || !is_notified(&message, &with_more, known_more));
        }

        /// Of two messages the older one is never notified because of what is known, if the newer one is not.
        #[test]
        fn what_is_read_is_read_up_to_there(
            seq in 1_u64..20, back in 1_u64..10, sent in 0_u64..20, read in 0_u64..20, known in 0_u64..20,
        ) {
            let (older, newer) = (message(seq, seq), message(seq + back, seq + back));
            let member = NotifiedMember {
                joined: Seq::ZERO, sent_no: MessageNo(sent), read: Seq(read), ..member("bob")
            };
            prop_assert!(is_notified(&newer, &member, Some(Seq(known))) || !is_notified(&older, &member, Some(Seq(known))));
        }

        /// Two notifications have one key only if they are one: user, room, seq, channel and device all count.
        #[test]
        fn a_key_is_of_one_notification(
            a in ("[ab]{1,2}", 0_u64..3, 0_u64..3, "[xy]{0,2}", any::<bool>()),
            b in ("[ab]{1,2}", 0_u64..3, 0_u64..3, "[xy]{0,2}", any::<bool>()),
        ) {
            let key = |(name, room, seq, device, hook): &(String, u64, u64, String, bool)| {
                let channel = if *hook { NotificationChannel::Webhook } else { NotificationChannel::Log };
                outgoing_id(channel, device, &user(name), RoomId(Uuid::from_u64_pair(0, *room)), Seq(*seq))
            };
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }
    }

    #[test]
    fn a_push_goes_to_each_device_that_has_a_token_of_its_channel() {
        use NotificationChannel::{Fcm, Log, WebPush, Webhook};
        let device = |name: &str, id: &str, token: &str| PushDevice {
            user: user(name),
            device: crate::ids::DeviceId::new(id).unwrap(),
            platform: "android".to_owned(),
            token_start: token.to_owned(),
        };
        let devices =
            [device("bob", "a", "c"), device("bob", "b", "{"), device("eve", "c", "d"), device("bob", "d", "e")];
        assert_eq!(ways(&[Webhook, Fcm], &user("bob"), &devices), [(Webhook, ""), (Fcm, "a"), (Fcm, "d")]);
        assert_eq!(ways(&[Log], &user("bob"), &devices), [(Log, "")], "nobody pushes");
        assert_eq!(ways(&[Fcm], &user("cat"), &devices), []);
        assert_eq!(ways(&[WebPush], &user("bob"), &devices), [(WebPush, "b")]);
    }

    #[test]
    fn rows_are_in_the_order_of_their_messages_and_say_nothing_of_them() {
        let (room, about) = (RoomId(Uuid::from_u128(7)), NotifiedRoom { kind: 2, title: "Tea".to_owned() });
        let first = row(&user("bob"), room, &about, &message(5, 3));
        let later = NotifiedMessage { at: Timestamp(1_001), ..message(6, 4) };
        assert!(first.id < row(&user("bob"), room, &about, &later).id);
        assert_eq!((first.title, first.message.as_str()), ("New message", "ann wrote in Tea"));
        let data: serde_json::Value = serde_json::from_str(&first.data).unwrap();
        assert_eq!(data, serde_json::json!({ "room": room.0, "seq": 5, "by": "ann" }));
    }
}
