//! Damages a good history, as a lying server would: what the checker must find on real data, not only on made-up stories.

use crate::history::{Entry, What};
use crate::rng::Rng;

/// The kinds of damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    LoseDelivery,
    DoubleDelivery,
    SwapDeliveries,
    ForgeDelivery,
    LoseEvent,
    LoseEventRow,
    LoseMessageRow,
    ForgeAcknowledgement,
    DeliverToStranger,
}

impl Damage {
    pub(crate) const ALL: [Self; 9] = [
        Self::LoseDelivery,
        Self::DoubleDelivery,
        Self::SwapDeliveries,
        Self::ForgeDelivery,
        Self::LoseEvent,
        Self::LoseEventRow,
        Self::LoseMessageRow,
        Self::ForgeAcknowledgement,
        Self::DeliverToStranger,
    ];

    /// The history with one such damage, at a place that chance picks. `None` if it has no place for it.
    pub(crate) fn inflict(self, history: &[Entry], rng: &mut Rng) -> Option<Vec<Entry>> {
        let fits: Vec<usize> = (0..history.len()).filter(|at| self.fits(history, *at)).collect();
        let at = *rng.pick(&fits)?;
        let mut damaged = history.to_vec();
        match self {
            Self::LoseDelivery => drop(damaged.remove(at)),
            Self::DoubleDelivery => damaged.insert(at, history[at].clone()),
            Self::SwapDeliveries => damaged.swap(at, next_delivery(history, at)?),
            _ => self.change(&mut damaged, at, rng),
        }
        Some(damaged)
    }

    fn fits(self, history: &[Entry], at: usize) -> bool {
        match (self, &history[at]) {
            // The last delivery before a cut may be lost on the way: only the client knows.
            (Self::LoseDelivery, Entry::Delivered { .. }) => next_delivery(history, at).is_some(),
            (Self::DoubleDelivery, Entry::Delivered { .. }) => true,
            (Self::SwapDeliveries, Entry::Delivered { .. }) => next_delivery(history, at).is_some(),
            (Self::ForgeDelivery, Entry::Delivered { event, .. }) => !event.id.is_empty(),
            (Self::LoseEvent, Entry::Final { events, .. }) => !events.is_empty(),
            (Self::LoseEventRow, Entry::Rows { rows, .. }) => !rows.events.is_empty(),
            (Self::LoseMessageRow, Entry::Rows { rows, .. }) => !rows.messages.is_empty(),
            (Self::ForgeAcknowledgement, Entry::Ok { op, seq, .. }) => {
                *seq > 0
                    && history[..at]
                        .iter()
                        .any(|entry| matches!(entry, Entry::Invoke { op: of, what: What::Send { .. }, .. } if of == op))
            }
            (Self::DeliverToStranger, Entry::Subscribing { sub, room, .. }) => {
                let delivered = |entry: &Entry| matches!(entry, Entry::Delivered { sub: of, .. } if of == sub);
                room.starts_with("room:") && history[at..].iter().any(delivered)
            }
            _ => false,
        }
    }

    fn change(self, damaged: &mut [Entry], at: usize, rng: &mut Rng) {
        match &mut damaged[at] {
            Entry::Delivered { event, .. } => event.id.push('x'),
            Entry::Final { events, .. } => lose(events, rng),
            Entry::Rows { rows, .. } if self == Self::LoseEventRow => lose(&mut rows.events, rng),
            Entry::Rows { rows, .. } => lose(&mut rows.messages, rng),
            Entry::Ok { seq, .. } => *seq += 1,
            Entry::Subscribing { user, .. } => "a stranger".clone_into(user),
            _ => {}
        }
    }
}

fn lose<T>(list: &mut Vec<T>, rng: &mut Rng) {
    list.remove(rng.range(0, list.len() as u64) as usize);
}

/// The next delivery of the same subscription.
fn next_delivery(history: &[Entry], at: usize) -> Option<usize> {
    let Entry::Delivered { sub, .. } = &history[at] else { return None };
    let next =
        history[at + 1..].iter().position(|entry| matches!(entry, Entry::Delivered { sub: of, .. } if of == sub));
    next.map(|distance| at + 1 + distance)
}
