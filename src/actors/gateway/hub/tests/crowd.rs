//! A channel with more subscribers than are named.

use super::*;

#[test]
fn a_large_channel_is_counted_and_nobody_is_told_of_everybody() {
    let mut world = world(&["ann"]);
    let wishes = Wishes { announced: true, join_leave: true, ..Wishes::default() };
    let first = connection("ann", Wire::Json, 1 << 20);
    let place = world.subscribe(&first, wishes.clone());
    world.settle();
    told(&first);
    let others: Vec<_> = (0..limits::PRESENCE_NAMED)
        .map(|_| {
            let other = connection("ann", Wire::Json, 1 << 20);
            let place = world.subscribe(&other, wishes.clone());
            world.settle();
            (other, place)
        })
        .collect();
    let numbers = |clients| Some(Numbers { clients, users: 1 });
    assert_eq!(told(&first).0.len(), limits::PRESENCE_NAMED - 1, "all that came before there were too many");
    assert_eq!(place.presence(7).unwrap().len(), 7);
    assert_eq!(place.numbers(&world.hub), numbers(limits::PRESENCE_NAMED + 1));
    others[0].1.end(&world.hub);
    assert_eq!(place.numbers(&world.hub), numbers(limits::PRESENCE_NAMED + 1), "it was counted just now");
    world.clock.advance(1_000);
    assert_eq!(place.numbers(&world.hub), numbers(limits::PRESENCE_NAMED));
    others[1].1.end(&world.hub);
    assert_eq!(place.numbers(&world.hub), numbers(limits::PRESENCE_NAMED - 1), "few are counted each time");
    place.end(&world.hub);
    assert_eq!(place.numbers(&world.hub), None, "who is not subscribed is told nothing");
}
