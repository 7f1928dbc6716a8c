//! Why an operation was refused, and the one match that turns it into a code of the wire.
//!
//! A stranger learns nothing from a refusal: "no such room" and "not a member" are one answer (412), and so is what else
//! only a member may know, see [`Error::for_stranger`]. The codes of rejections stand in [`crate::api::protocol::error_map`].

use uuid::Uuid;

use crate::actors::bounds::BadInput;
use crate::actors::wire::{Answer, Reject};
use crate::api::protocol::Error as ProtocolError;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::error_map::reject_error;
use crate::ids::{Offset, Seq, Timestamp};
use crate::storage::store::StoreError;

/// Milliseconds after which a caller should come again if the node itself names no time.
const RETRY_AFTER_MS: u32 = 500;

/// Why an operation has no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such method.
    #[error("no such method")]
    UnknownMethod,
    /// The input is malformed or too large; it says where. Sending it again makes no sense.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// The data of a `publish` is refused; the wire's error, made where the data is read.
    #[error("{}", .0.message)]
    Data(ProtocolError),
    /// The caller has invited as many as may be unanswered at a time.
    #[error("at most {most} invitations that are not answered: take some back")]
    TooManyInvitations {
        /// How many.
        most: usize,
    },
    /// Not for this caller: anonymous users have open channels and nothing else.
    #[error("anonymous users have no rooms")]
    Anonymous,
    /// One too many of these in a minute: nothing was done for it.
    #[error("too many {what}")]
    TooManyRequests {
        /// Of what.
        what: &'static str,
        /// When the next one will pass, in milliseconds.
        retry_after_ms: u64,
    },
    /// The fold said no.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// Nothing happened; try again.
    #[error("retry after {retry_after_ms} ms")]
    Unavailable {
        /// When, in milliseconds.
        retry_after_ms: u32,
    },
    /// It may have happened: the same request again (with the same `client_id`, where there is one) tells.
    #[error("the outcome is unknown")]
    UnknownOutcome,
    /// The store's rows can't be read by this program. Not the caller's fault, and not over soon.
    #[error("the stored data can't be read")]
    Damaged,
}

impl Error {
    /// A malformed input.
    pub(in crate::api) fn bad(why: impl Into<String>) -> Self {
        BadInput::because(why).into()
    }

    /// What the rows or the owner can't give now.
    pub(super) fn unavailable() -> Self {
        Self::Unavailable { retry_after_ms: RETRY_AFTER_MS }
    }

    /// The same refusal as it may be told to somebody who is no member: that a room exists, and of which kind it is, is
    /// its members' business. `joining`: the caller asked to be let in.
    #[must_use]
    pub(crate) fn for_stranger(self, joining: bool) -> Self {
        match self {
            Self::Rejected(Reject::NoRoom | Reject::WrongKind | Reject::NotInvited) if joining => {
                Self::Rejected(Reject::NotInvited)
            }
            Self::Rejected(Reject::NoRoom | Reject::WrongKind) => Self::Rejected(Reject::NotMember),
            other => other,
        }
    }

    /// The error of the wire protocol.
    #[must_use]
    pub(crate) fn to_protocol(&self) -> ProtocolError {
        match self {
            Self::UnknownMethod => ErrorCode::METHOD_NOT_FOUND.into(),
            Self::Input(BadInput::Malformed(_)) => ErrorCode::BAD_REQUEST.because(&self.to_string()),
            Self::Data(error) => error.clone(),
            Self::Input(BadInput::TooLarge { .. }) => ErrorCode::TOO_LARGE.because(&self.to_string()),
            Self::Input(BadInput::TooMany { .. }) | Self::TooManyInvitations { .. } => {
                ErrorCode::LIMIT_EXCEEDED.because(&self.to_string())
            }
            Self::Anonymous => ErrorCode::PERMISSION_DENIED.because(&self.to_string()),
            Self::TooManyRequests { retry_after_ms, .. } => ErrorCode::too_many_requests(*retry_after_ms),
            Self::Rejected(reject) => reject_error(*reject),
            Self::Unavailable { retry_after_ms } => ErrorCode::UNAVAILABLE.retry_after((*retry_after_ms).into()),
            Self::UnknownOutcome => ErrorCode::OUTCOME_UNKNOWN.into(),
            Self::Damaged => ErrorCode::INTERNAL.into(),
        }
    }
}

impl From<Error> for ProtocolError {
    fn from(error: Error) -> Self {
        error.to_protocol()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "reading the store failed");
        if error.is_retryable() { Self::unavailable() } else { Self::Damaged }
    }
}

/// What an accepted command came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Accepted {
    /// See [`Answer::Accepted`].
    pub seq: Seq,
    /// Likewise.
    pub id: Uuid,
    /// Likewise.
    pub at: Timestamp,
    /// Likewise.
    pub duplicate: bool,
    /// The end, in its partition, of what the store must have to show it.
    pub end: Offset,
}

/// Accepted, or why not.
pub(super) fn accepted(answer: Answer) -> Result<Accepted, Error> {
    match answer {
        Answer::Accepted { seq, id, at, no: _, duplicate, offset } => {
            Ok(Accepted { seq, id, at, duplicate, end: offset.next() })
        }
        Answer::Rejected(reject) => Err(Error::Rejected(reject)),
        Answer::Unavailable { retry_after_ms } => Err(Error::Unavailable { retry_after_ms }),
        Answer::Unknown => Err(Error::UnknownOutcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Reject, u32); 19] = [
        (Reject::NoRoom, 412),
        (Reject::Exists, 415),
        (Reject::Ended, 410),
        (Reject::Expired, 411),
        (Reject::NotMember, 412),
        (Reject::NotInvited, 441),
        (Reject::NotAllowed, 103),
        (Reject::Blocked, 413),
        (Reject::NeedPrev, 420),
        (Reject::TooOld, 421),
        (Reject::NoMessage, 432),
        (Reject::NotAuthor, 103),
        (Reject::Deleted, 432),
        (Reject::EditTooLate, 431),
        (Reject::Full, 414),
        (Reject::TooLarge, 430),
        (Reject::Stale, 422),
        (Reject::Invalid, 107),
        (Reject::WrongKind, 442),
    ];

    #[test]
    fn every_rejection_has_its_code() {
        for (index, (reject, code)) in ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reject.number()), index + 1, "{reject:?} is missing or out of place");
            let error = Error::Rejected(reject).to_protocol();
            assert_eq!(error.code, code, "{reject:?}");
            assert_eq!(error.temporary, reject == Reject::Stale, "{reject:?}");
            assert!(ErrorCode::ALL.iter().any(|known| known.code == code));
        }
    }

    #[test]
    fn a_stranger_cannot_tell_a_missing_room_from_one_he_is_not_in() {
        let missing = Error::Rejected(Reject::NoRoom);
        let not_in = Error::Rejected(Reject::NotMember);
        assert_eq!(missing.to_protocol(), not_in.to_protocol());
        assert_eq!(Error::Rejected(Reject::WrongKind).for_stranger(false).to_protocol(), not_in.to_protocol());
        let closed = Error::Rejected(Reject::NotInvited);
        for reject in [Reject::NoRoom, Reject::WrongKind] {
            assert_eq!(Error::Rejected(reject).for_stranger(true), closed);
        }
        assert_eq!(Error::Rejected(Reject::Ended).for_stranger(true), Error::Rejected(Reject::Ended));
    }

    #[test]
    fn what_may_help_to_try_again_says_so() {
        let unavailable = accepted(Answer::Unavailable { retry_after_ms: 70 }).unwrap_err().to_protocol();
        assert_eq!((unavailable.code, unavailable.temporary), (450, true));
        assert!(unavailable.message.ends_with("retry after 70 ms"), "{}", unavailable.message);
        let unknown = accepted(Answer::Unknown).unwrap_err().to_protocol();
        assert_eq!((unknown.code, unknown.temporary), (451, true));
    }
}
