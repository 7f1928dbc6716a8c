//! Users with the seq of what put them on a list.

use crate::ids::{Seq, UserId};

pub(super) fn drop_from(list: &mut Vec<(UserId, Seq)>, user: &UserId) {
    list.retain(|(other, _)| other != user);
}

pub(super) fn seq_in(list: &[(UserId, Seq)], user: &UserId) -> Option<Seq> {
    list.iter().find(|(other, _)| other == user).map(|(_, seq)| *seq)
}
