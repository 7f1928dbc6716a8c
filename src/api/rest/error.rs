//! The one match that turns a refusal into a status and a stable code.
//!
//! As on the socket, a stranger learns nothing: "no such chat" and "not a member" are one answer.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use crate::actors::bounds::BadInput;
use crate::actors::wire::Reject;
use crate::api::accounts::Refusal;
use crate::api::http::HttpError;
use crate::api::operations;
use crate::storage::accounts::AccountError;

/// Why a request has no result.
#[derive(Debug)]
pub(crate) struct ApiError(HttpError);

/// The JSON of every error.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a picture of what HttpError writes, for the document")]
pub(crate) struct ErrorBody {
    /// The error.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(ToSchema)]
#[allow(dead_code, reason = "likewise")]
pub(crate) struct ErrorDetail {
    /// Stable, for programs.
    code: String,
    /// For people.
    message: String,
    /// The same request has a chance after so many milliseconds.
    #[schema(required = false, nullable = false)]
    retry_after_ms: Option<u64>,
}

impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        Self(error)
    }
}

impl From<ApiError> for HttpError {
    fn from(refused: ApiError) -> Self {
        refused.0
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<operations::Error> for ApiError {
    fn from(error: operations::Error) -> Self {
        use operations::Error;
        let (status, code) = status_and_code(&error);
        let message = match &error {
            Error::Rejected(Reject::NoRoom | Reject::NotMember) => {
                "there is no such chat, or you are not in it".to_owned()
            }
            Error::Data(error) => error.message.clone(),
            error => error.to_string(),
        };
        let refused = HttpError::new(status, code, message);
        Self(match error {
            Error::Unavailable { retry_after_ms } => refused.retry_after(retry_after_ms.into()),
            Error::TooManyRequests { retry_after_ms, .. } => refused.retry_after(retry_after_ms),
            _ => refused,
        })
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match &refusal {
            Refusal::NoKey => (StatusCode::NOT_IMPLEMENTED, "no_key"),
            Refusal::Closed => (StatusCode::FORBIDDEN, "registration_closed"),
            Refusal::Name(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Refusal::Wrong => (StatusCode::UNAUTHORIZED, "wrong_credentials"),
            Refusal::Over => (StatusCode::UNAUTHORIZED, "signed_out"),
            Refusal::Banned => (StatusCode::FORBIDDEN, "banned"),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Refusal::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Refusal::Account(error) => return error.clone().into(),
            Refusal::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let refused = HttpError::new(status, code, refusal.to_string());
        Self(match refusal {
            Refusal::Busy => refused.retry_after(1000),
            Refusal::TooMany { retry_after_ms } => refused.retry_after(retry_after_ms),
            _ => refused,
        })
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let (status, code) = match &error {
            AccountError::UsernameTaken => (StatusCode::CONFLICT, "username_taken"),
            AccountError::EmailTaken => (StatusCode::CONFLICT, "email_taken"),
            AccountError::Unknown => (StatusCode::NOT_FOUND, "not_found"),
            AccountError::Store(store) => return operations::Error::from(store.clone()).into(),
        };
        Self(HttpError::new(status, code, error.to_string()))
    }
}

fn status_and_code(error: &operations::Error) -> (StatusCode, &'static str) {
    use operations::Error;
    match error {
        Error::UnknownMethod => (StatusCode::NOT_FOUND, "not_found"),
        Error::Input(BadInput::Malformed(_)) | Error::Data(_) => (StatusCode::BAD_REQUEST, "bad_request"),
        Error::Input(BadInput::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Error::Input(BadInput::TooMany { .. }) => (StatusCode::BAD_REQUEST, "limit_exceeded"),
        Error::TooManyInvitations { .. } => (StatusCode::CONFLICT, "too_many_invitations"),
        Error::Anonymous => (StatusCode::FORBIDDEN, "permission_denied"),
        Error::TooManyRequests { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
        Error::Rejected(reject) => of_reject(*reject),
        Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Error::UnknownOutcome => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown"),
        Error::Damaged => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

fn of_reject(reject: Reject) -> (StatusCode, &'static str) {
    match reject {
        Reject::NoRoom | Reject::NotMember => (StatusCode::NOT_FOUND, "not_found"),
        Reject::NoMessage | Reject::Deleted => (StatusCode::NOT_FOUND, "no_message"),
        Reject::Exists => (StatusCode::CONFLICT, "exists"),
        Reject::Ended => (StatusCode::GONE, "ended"),
        Reject::Expired => (StatusCode::GONE, "expired"),
        Reject::NotInvited => (StatusCode::FORBIDDEN, "not_invited"),
        Reject::NotAllowed | Reject::NotAuthor => (StatusCode::FORBIDDEN, "permission_denied"),
        Reject::Blocked => (StatusCode::FORBIDDEN, "blocked"),
        Reject::NeedPrev => (StatusCode::CONFLICT, "need_prev"),
        Reject::TooOld => (StatusCode::CONFLICT, "too_old"),
        Reject::EditTooLate => (StatusCode::CONFLICT, "edit_too_late"),
        Reject::Full => (StatusCode::CONFLICT, "full"),
        Reject::WrongKind => (StatusCode::CONFLICT, "wrong_kind"),
        Reject::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Reject::Stale => (StatusCode::SERVICE_UNAVAILABLE, "stale"),
        Reject::Invalid => (StatusCode::BAD_REQUEST, "bad_request"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_tell_a_missing_chat_from_one_he_is_not_in() {
        let of = |reject| ApiError::from(operations::Error::Rejected(reject)).0;
        let (missing, foreign) = (of(Reject::NoRoom), of(Reject::NotMember));
        assert_eq!(format!("{missing:?}"), format!("{foreign:?}"));
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }
}
