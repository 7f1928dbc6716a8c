//! What a refusal from inside is on the wire: one exhaustive match for each kind, shared by socket and REST.

#[cfg(test)]
use crate::actors::wire::Answer;
use crate::actors::wire::{Denial, FetchError, Reject};
use crate::api::protocol::Error;
use crate::api::protocol::codes::ErrorCode;

/// The error for a rejected command. That there is no such room and that the caller is not in it are one answer: the uuid
/// of a direct chat follows from its two users, so anybody could find out who talks to whom.
#[must_use]
pub(crate) fn reject_error(reject: Reject) -> Error {
    match reject {
        Reject::NoRoom | Reject::NotMember => ErrorCode::NOT_A_MEMBER.into(),
        Reject::Exists => ErrorCode::ROOM_EXISTS.into(),
        Reject::Ended => ErrorCode::ROOM_ENDED.into(),
        Reject::Expired => ErrorCode::ROOM_EXPIRED.into(),
        Reject::NotInvited => ErrorCode::NOT_INVITED.into(),
        Reject::NotAllowed => ErrorCode::PERMISSION_DENIED.into(),
        Reject::Blocked => ErrorCode::BLOCKED.into(),
        Reject::NeedPrev => ErrorCode::NEED_PREV.into(),
        Reject::TooOld => ErrorCode::TOO_OLD.into(),
        Reject::NoMessage => ErrorCode::INVALID_TARGET.because("no such message"),
        Reject::NotAuthor => ErrorCode::PERMISSION_DENIED.because("not the author of the message"),
        Reject::Deleted => ErrorCode::INVALID_TARGET.because("the message is deleted"),
        Reject::EditTooLate => ErrorCode::EDIT_TOO_LATE.into(),
        Reject::Full => ErrorCode::ROOM_FULL.into(),
        Reject::TooLarge => ErrorCode::TOO_LARGE.into(),
        Reject::Stale => ErrorCode::STALE_COMMAND.into(),
        Reject::Invalid => ErrorCode::BAD_REQUEST.into(),
        Reject::WrongKind => ErrorCode::WRONG_KIND.into(),
    }
}

/// The error for a command that was not accepted; none if it was.
#[cfg(test)]
#[must_use]
pub(crate) fn answer_error(answer: &Answer) -> Option<Error> {
    match *answer {
        Answer::Accepted { .. } => None,
        Answer::Rejected(reject) => Some(reject_error(reject)),
        Answer::Unavailable { retry_after_ms } => Some(ErrorCode::UNAVAILABLE.retry_after(retry_after_ms.into())),
        Answer::Unknown => Some(ErrorCode::OUTCOME_UNKNOWN.into()),
    }
}

/// The error for a subscribe or a question about a stream that is denied. A room that is not there and one that is
/// somebody else's are one answer, see [`reject_error`].
#[must_use]
pub(crate) fn denial_error(denial: Denial) -> Error {
    match denial {
        Denial::NoRoom | Denial::NotMember => ErrorCode::PERMISSION_DENIED.into(),
        Denial::Unavailable => ErrorCode::UNAVAILABLE.into(),
    }
}

/// The error for history that can't be had.
#[must_use]
pub(crate) fn fetch_error(error: FetchError) -> Error {
    match error {
        FetchError::Gone { .. } => ErrorCode::UNRECOVERABLE_POSITION.into(),
        FetchError::Unavailable => ErrorCode::UNAVAILABLE.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::protocol::codes::retry_after_ms;

    #[test]
    fn a_stranger_cannot_tell_a_missing_room_from_one_he_is_not_in() {
        assert_eq!(reject_error(Reject::NoRoom), reject_error(Reject::NotMember));
        assert_eq!(denial_error(Denial::NoRoom), denial_error(Denial::NotMember));
    }

    #[test]
    fn only_what_may_succeed_later_is_temporary() {
        let error = answer_error(&Answer::Unavailable { retry_after_ms: 250 }).unwrap();
        assert!(error.temporary);
        assert_eq!(retry_after_ms(&error), Some(250));
        assert!(answer_error(&Answer::Unknown).unwrap().temporary);
        assert!(reject_error(Reject::Stale).temporary);
        for reject in [Reject::Ended, Reject::NotMember, Reject::Blocked, Reject::NeedPrev, Reject::NotAuthor] {
            assert!(!reject_error(reject).temporary, "{reject:?}");
        }
        // An SDK subscribes again after a temporary error, and gives up after the others.
        assert!(denial_error(Denial::Unavailable).temporary);
        assert!(!denial_error(Denial::NotMember).temporary);
    }
}
