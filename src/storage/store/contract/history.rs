//! Pages of history.

use super::*;
use crate::storage::store::HistoryQuestion;
use crate::storage::store::commit::ReactionChange;

pub(crate) async fn a_page_of_history_is_of_one_moment_and_above_the_floor(store: &dyn Store) {
    let (room, me) = (room_id(2), user_id("alice"));
    let put = |seq, user| ReactionChange::Put(ReactionRow { room, seq: Seq(seq), emoji: "👍".to_owned(), user });
    let mut commit = moved(room.partition(), 0, 1);
    commit.chats.push(ChatRow { floor: Seq(3), head: Seq(9), ..chat_row(room) });
    commit.room_events = (1..=8).map(|seq| message_row(room, seq, seq, "alice", "hello")).collect();
    commit.reactions = vec![put(4, me.clone()), put(7, me.clone()), put(7, user_id("bob")), put(8, me.clone())];
    store.commit(commit).await.unwrap();

    let whole = HistoryQuestion { room, range: SeqRange::all(), limit: 99, user: &me, may_lag: false };
    let page = async |question: HistoryQuestion<'_>| {
        let found = store.history(question).await.unwrap().unwrap();
        assert_eq!((found.chat.head, found.reactions.head), (Seq(9), Seq(9)));
        let seqs: Vec<u64> = found.messages.iter().map(|message| message.seq.0).collect();
        let counts: Vec<_> = found.reactions.counts.iter().map(|count| (count.seq.0, count.count, count.own)).collect();
        (seqs, counts)
    };
    assert_eq!(page(whole).await, (vec![3, 4, 5, 6, 7, 8], vec![(4, 1, true), (7, 2, true), (8, 1, true)]));
    // With a replica or without one: what it lacks the asker sees by the head.
    let back = HistoryQuestion { range: SeqRange::new(Seq(1), Seq(7)).reversed(), limit: 2, may_lag: true, ..whole };
    assert_eq!(page(back).await, (vec![7, 6], vec![(7, 2, true)]));
    let stranger = user_id("carol");
    let other = HistoryQuestion { range: SeqRange::new(Seq(8), Seq(8)), user: &stranger, ..whole };
    assert_eq!(page(other).await, (vec![8], vec![(8, 1, false)]));
    assert_eq!(page(HistoryQuestion { range: SeqRange::new(Seq(1), Seq(2)), ..whole }).await, (vec![], vec![]));
    let nowhere = HistoryQuestion { room: room_id(3), ..whole };
    assert_eq!(store.history(nowhere).await.unwrap(), None);
}
