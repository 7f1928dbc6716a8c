//! A request for each operation that takes a body, for the document and its readers, who try it out.

use serde_json::{Value, json};

/// The chat of the examples.
pub(super) const CHAT: &str = "0198c1c4-7a30-7c9e-9d5b-3c1d6a5e2f41";

/// The body of an example, if the operation has one.
pub(super) fn body(operation: &str) -> Option<Value> {
    Some(match operation {
        "sign_in_register" => {
            json!({ "username": "alice", "password": "correct horse battery", "first_name": "Alice" })
        }
        "sign_in_log_in" => json!({ "username": "alice", "password": "correct horse battery" }),
        "sign_in_refresh" => json!({ "refresh_token": "0198c1c4-7a30-7c9e-9d5b-3c1d6a5e2f41.f00d" }),
        "sign_in_log_out" => json!({ "all": true }),
        "sign_in_password" => {
            json!({ "current_password": "correct horse battery", "new_password": "another battery staple" })
        }
        "chats_create" => json!({ "kind": "direct", "user": "bob" }),
        "chats_update" => json!({ "title": "Caravan" }),
        "members_invite" => json!({ "user": "carol" }),
        "messages_send" => json!({ "body": "hello", "client_id": "0198c1c5-0e11-7b02-8f43-96c7a1d2b3e4" }),
        "messages_edit" => json!({ "body": "hello, all" }),
        "messages_read" | "messages_delivered" => json!({ "seq": 7 }),
        "notifications_read" => json!({ "all": true }),
        "events_take" => json!({ "events": [{ "type": "opened", "data": { "screen": "chats" } }] }),
        "users_change_me" => json!({ "first_name": "Alice", "last_name": "Liddell" }),
        "users_device" => json!({ "platform": "web", "push_token": "" }),
        "server_publish" => json!({ "channel": "news", "data": { "text": "hello" } }),
        "server_broadcast" => json!({ "channels": ["news", "sport"], "data": { "text": "hello" } }),
        "server_subscribe" | "server_unsubscribe" => json!({ "user": "alice", "channel": "news" }),
        "server_disconnect" => json!({ "user": "alice", "disconnect": { "code": 4501, "reason": "moved house" } }),
        "server_refresh" => json!({ "user": "alice", "expired": true }),
        "server_presence" | "server_presence_stats" | "server_history_remove" => json!({ "channel": "news" }),
        "server_history" => json!({ "channel": "news", "limit": 10, "reverse": true }),
        "server_info" => json!({}),
        "server_channels" => json!({ "pattern": "n*" }),
        "server_batch" => {
            json!({ "commands": [{ "publish": { "channel": "news", "data": 1 } }, { "history": { "channel": "news", "limit": 1 } }] })
        }
        "server_lines" => json!({ "method": "publish", "params": { "channel": "news", "data": 1 } }),
        _ => return None,
    })
}
