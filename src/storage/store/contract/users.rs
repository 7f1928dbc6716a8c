//! Users are read many at a time.

use super::*;
use crate::storage::store::commit::{BlockChange, DeviceChange, UserRoomChange};

pub(crate) async fn many_users_are_read_at_once_whether_they_have_rows_or_not(store: &dyn Store) {
    // More than one statement takes, and each with a table less than the one before, so that each table is missing somewhere.
    let users: Vec<UserId> = (0..80).map(|n| user_id(&format!("user{n}"))).collect();
    for (user, has) in users.iter().take(60).zip((0..7).cycle()) {
        let before = store.user(user).await.unwrap().watermark.next_offset;
        let mut commit = moved(user.partition(), before.0, before.0 + 1);
        let (room, at) = (room_id(5), Timestamp(4));
        let mark = ReadMarkRow { user: user.clone(), room, seq: Seq(6), no: MessageNo(2) };
        let known =
            UserRoomRow { user: user.clone(), room, kind: 2, state: 1, seq: Seq(3), muted_until: Timestamp::ZERO };
        let device = DeviceId::new("phone").unwrap();
        let (platform, push_token) = ("web".to_owned(), String::new());
        let device = DeviceRow { user: user.clone(), device, platform, push_token, seen_at: at };
        let (preferences, updated_at, applied) = ("{}".to_owned(), at, Offset(before.0 + 1));
        let push_token = String::new();
        let (created_at, head, chain) = (at, Seq(1), u64::MAX - 1);
        let decisions = Bytes::from_static(&[1, 2]);
        let row = UserRow {
            user: user.clone(),
            push_token,
            preferences,
            created_at,
            updated_at,
            head,
            applied,
            chain,
            decisions,
            notifications_read: Uuid::from_u128(3),
        };
        commit.users.extend((has > 0).then_some(row));
        commit.devices.extend((has > 1).then_some(DeviceChange::Put(device)));
        let block = BlockRow { user: user.clone(), blocked: user_id("x"), at };
        commit.blocks.extend((has > 2).then_some(BlockChange::Put(block)));
        commit.user_rooms.extend((has > 3).then_some(UserRoomChange::Put(known)));
        commit.read_marks.extend((has > 4 || has == 0).then_some(mark));
        commit.user_sources.extend((has > 5).then_some((user.clone(), Partition::FIRST, Offset(3))));
        store.commit(commit).await.unwrap();
    }
    let found = store.user_snapshots(&users).await.unwrap();
    assert_eq!(found.len(), users.len());
    for ((user, found), n) in users.iter().zip(&found).zip(0..) {
        assert_eq!(*found, store.user(user).await.unwrap(), "{user:?}");
        let has = n % 7;
        let expected = [has > 0, has > 1, has > 2, has > 3, has > 4 || has == 0, has > 5].map(|has| has && n < 60);
        let (devices, blocks, rooms) = (&found.devices, &found.blocks, &found.rooms);
        let lens = [devices.len(), blocks.len(), rooms.len(), found.read_marks.len(), found.sources.len()];
        assert_eq!(found.user.as_ref().map(|row| &row.user), expected[0].then_some(user));
        assert_eq!(lens, [1, 2, 3, 4, 5].map(|part| usize::from(expected[part])), "{user:?}");
        assert_eq!(found.watermark.partition, user.partition());
    }
    assert_eq!(store.user_snapshots(&[]).await.unwrap(), []);
}
