//! A whole room comes back at once: the work is in proportion to its subscribers.

use super::support::{Owner, Recorder, stream, user};
use crate::actors::gateway::feed::{Feed, Position};
use crate::epoch::Epoch;
use crate::ids::{Generation, Seq, Timestamp};

const NOW: Timestamp = Timestamp(1_000);

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

/// CPU time for so many subscribers who come back from all over the last 2,000 events, get what they lack, and leave.
fn storm(subscribers: u32) -> u64 {
    let mut owner = Owner::new(&["ann"]);
    owner.page = 300;
    for _ in 0..2_000 {
        let _ = owner.send();
    }
    let (mut feed, mut out) = (Feed::new(stream(), false, NOW), Recorder::default());
    let begun = cpu_ns();
    let come_back = |who| {
        let position = Position { epoch: Epoch::Of(Generation::FIRST), offset: Seq(u64::from(who) * 7 % 2_000) };
        feed.subscribe(who, user("ann"), Some(position), NOW, &mut out)
    };
    let ids: Vec<_> = (0..subscribers).map(come_back).collect();
    loop {
        let sent = out.take_sent();
        if sent.is_empty() {
            break;
        }
        for frame in sent {
            if let Some(answer) = owner.answer(&frame) {
                feed.receive(&answer, NOW, &mut out);
            }
        }
        // What they got is counted, not kept: here the feed is measured.
        out.seen.values_mut().for_each(|seen| seen.events.clear());
    }
    assert!(!feed.needs_ticks(), "everybody is up to date");
    for who in 0..subscribers {
        let from = Seq(u64::from(who) * 7 % 2_000);
        assert_eq!(out.seen(who).begun, Some((from, true)), "{who} is back");
    }
    for id in ids {
        assert!(feed.unsubscribe(id, NOW).is_some());
    }
    cpu_ns() - begun
}

#[test]
fn four_times_as_many_who_come_back_at_once_take_about_four_times_the_time() {
    storm(100);
    // The best of three: what else the machine does shows in caches, too.
    let best = |subscribers| (0..3).map(|_| storm(subscribers)).min().unwrap();
    let (few, many) = (best(500), best(2_000));
    assert!(many < 8 * few, "{few} ns for 500, {many} ns for 2,000");
}
