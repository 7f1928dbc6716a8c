//! What each operation may be refused with, for the document: by what it reads, and by its name. Schemathesis holds the
//! running server against it.

use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Content, Ref};

/// Code, status, meaning.
const CODES: [(&str, u16, &str); 35] = [
    ("bad_request", 400, "malformed"),
    ("limit_exceeded", 400, "more of something than there may be"),
    ("unauthorized", 401, "no token, or one that is not good"),
    ("token_expired", 401, "the token is over, or not good yet: come with a new one"),
    ("wrong_credentials", 401, "no such user, or another password: one answer"),
    ("signed_out", 401, "this sign-in is over"),
    ("permission_denied", 403, "not allowed"),
    ("not_invited", 403, "the chat is not public"),
    ("blocked", 403, "one of the two has blocked the other"),
    ("banned", 403, "by an operator"),
    ("registration_closed", 403, "people do not make accounts here by themselves"),
    ("quota_exceeded", 403, "one's files take all the bytes that they may"),
    ("not_found", 404, "there is none, or it is not yours"),
    ("no_message", 404, "no such message, or a deleted one"),
    ("timeout", 408, "it took too long"),
    ("exists", 409, "there is another one of this name"),
    ("wrong_kind", 409, "not in this kind of chat"),
    ("full", 409, "no more fit in"),
    ("too_many_invitations", 409, "so many are not answered: take some back"),
    ("need_prev", 409, "`prev` has not arrived"),
    ("too_old", 409, "the client id is older than the time in which retries are told apart"),
    ("edit_too_late", 409, "the time for changes is over"),
    ("username_taken", 409, "somebody has it"),
    ("email_taken", 409, "somebody has it"),
    ("ended", 410, "somebody ended the chat"),
    ("expired", 410, "the chat's time is over"),
    ("too_large", 413, "above a bound in bytes"),
    ("unsupported_media_type", 415, "the body is of another type"),
    ("too_many_requests", 429, "above a rate; says when to come again"),
    ("no_key", 501, "this server signs no tokens"),
    ("unavailable", 503, "nothing happened: try again"),
    ("stale", 503, "nothing happened: try again"),
    ("outcome_unknown", 503, "perhaps it happened: send it again with the same client id"),
    ("busy", 503, "try again in a moment"),
    ("starting", 503, "try again in a moment"),
];

/// What may come of a command to a chat beside the rest.
const CHAT: &[&str] = &["not_found", "ended", "expired", "stale", "outcome_unknown"];

/// By operation: beside what its token, body and parameters may be refused with.
const SPECIAL: &[(&str, &[&str])] = &[
    ("sign_in_register", &["registration_closed", "banned", "username_taken", "email_taken", "no_key", "busy"]),
    ("sign_in_log_in", &["wrong_credentials", "banned", "no_key", "busy"]),
    ("sign_in_refresh", &["signed_out", "banned", "no_key"]),
    ("sign_in_log_out", &["signed_out"]),
    ("sign_in_password", &["wrong_credentials", "not_found", "busy"]),
    ("sign_in_sign_ins", &["not_found"]),
    ("chats_create", &["blocked", "exists", "wrong_kind", "full", "ended", "expired", "stale", "outcome_unknown"]),
    ("chats_update", &["blocked", "wrong_kind"]),
    ("chats_end", &["wrong_kind"]),
    ("chats_join", &["not_invited", "blocked", "wrong_kind", "full"]),
    ("chats_leave", &["wrong_kind"]),
    ("members_invite", &["blocked", "exists", "wrong_kind", "full", "too_many_invitations"]),
    ("members_uninvite", &["stale", "outcome_unknown"]),
    ("members_kick", &["wrong_kind", "full"]),
    ("messages_send", &["blocked", "need_prev", "too_old", "no_message"]),
    ("messages_edit", &["blocked", "no_message", "edit_too_late"]),
    ("messages_delete", &["no_message", "edit_too_late"]),
    ("messages_react", &["blocked", "no_message", "wrong_kind"]),
    ("messages_unreact", &["blocked", "no_message", "wrong_kind"]),
    ("messages_read", &["no_message"]),
    ("messages_delivered", &["no_message"]),
    ("messages_typing", &["blocked"]),
    ("uploads_upload", &["not_found", "blocked", "quota_exceeded", "ended", "expired", "timeout"]),
    ("users_me", &["not_found"]),
    ("users_change_me", &["not_found", "username_taken", "email_taken"]),
    ("users_block", &["full", "stale", "outcome_unknown"]),
    ("users_unblock", &["stale", "outcome_unknown"]),
    ("users_device", &["full", "stale", "outcome_unknown"]),
    ("users_forget_device", &["stale", "outcome_unknown"]),
];

/// Adds to an operation with what it may be refused.
pub(super) fn describe(path: &str, id: &str, operation: &mut Operation) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let has_body = operation.request_body.is_some();
    let is_secured = operation.security.as_ref().is_some_and(|security| !security.is_empty());
    let is_of_back_end = path == "/api" || id.starts_with("server_");
    let mut codes = Vec::new();
    if has_body || !parameters.is_empty() {
        codes.extend(["bad_request", "limit_exceeded"]);
    }
    if is_secured {
        codes.push("unauthorized");
    }
    if has_body {
        codes.extend(["too_large", "timeout"]);
    }
    if !is_of_back_end {
        if is_secured {
            codes.extend(["token_expired", "permission_denied"]);
        }
        if has_body {
            codes.push("unsupported_media_type");
        }
        if is_secured || has_body {
            codes.extend(["too_many_requests", "unavailable"]);
        }
        if path.contains("{chat}") {
            codes.extend(CHAT);
        } else if path.contains('{') {
            codes.push("not_found");
        }
    }
    codes.extend(SPECIAL.iter().filter(|(name, _)| *name == id).flat_map(|(_, codes)| *codes));
    for status in CODES.iter().map(|(_, status, _)| status) {
        let meanings: Vec<_> = CODES
            .iter()
            .filter(|(code, of, _)| of == status && codes.contains(code))
            .map(|(code, _, meaning)| format!("`{code}`: {meaning}"))
            .collect();
        if !meanings.is_empty() {
            let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
            let response = ResponseBuilder::new().description(meanings.join("; ")).content("application/json", body);
            operation.responses.responses.insert(status.to_string(), response.build().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_there() {
        let document = super::super::document();
        let operations = document
            .paths
            .paths
            .values()
            .flat_map(|item| [&item.get, &item.put, &item.post, &item.delete, &item.patch]);
        let ids: Vec<_> = operations.flatten().filter_map(|operation| operation.operation_id.clone()).collect();
        for (id, codes) in SPECIAL {
            assert!(ids.iter().any(|known| known == id), "{id} is no operation of {ids:?}");
            for code in codes.iter().chain(CHAT) {
                assert!(CODES.iter().any(|(known, ..)| known == code), "{code}");
            }
        }
    }
}
