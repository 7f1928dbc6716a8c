//! The schema `report`: what its views say, who may read them, and that its page is true.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::*;
use crate::ids::{MessageNo, RoomId};
use crate::storage::sql::migrate;
use crate::storage::sql::support::report::{self, connect, rows};
use crate::storage::sql::support::server::Server;
use crate::storage::store::commit::MemberChange;
use crate::storage::store::contract::{member_row, user_id, user_row, uuid};
use crate::storage::store::rows::{MessageEdit, NotificationRow, ReadMarkRow, RoomEventRow, UserEventRow, UserRow};

/// A moment that is over, and one that is not, in milliseconds.
const PAST: u64 = 1_700_000_000_123;
const FUTURE: u64 = 32_503_680_000_000;
/// [`PAST`] as JSON has it.
const THEN: &str = "2023-11-14T22:13:20.123+00:00";

async fn run(connection: &mut PgConnection, text: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await;
    done.map(|_| ()).map_err(|why| why.to_string())
}

/// A direct chat of alice and bob.
fn direct(room: RoomId) -> ChatRow {
    let (user1, user2) = (Some(user_id("alice")), Some(user_id("bob")));
    ChatRow { kind: 1, user1, user2, ended_by_user2: false, created_at: Timestamp(PAST), ..chat_row(room) }
}

fn message(room: RoomId, seq: u64, metadata: &str) -> RoomEventRow {
    let row = message_row(room, seq, seq, "alice", "hello");
    let message = row.message.map(|body| MessageBody { metadata: metadata.to_owned(), reply_to: None, ..body });
    RoomEventRow { message, at: Timestamp(PAST), ..row }
}

fn mark(user: &str, room: RoomId, seq: u64) -> ReadMarkRow {
    ReadMarkRow { user: user_id(user), room, seq: Seq(seq), no: MessageNo(seq) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_views_say_what_rest_says() {
    let postgres = Postgres::start().await;
    chats_have_the_status_that_time_gives_them(&postgres).await;
    messages_are_in_their_present_form(&postgres).await;
    users_events_and_notifications_are_shown(&postgres).await;
    json_that_jsonb_can_not_hold_fails_no_question(&postgres).await;
    a_time_that_is_none_fails_no_question(&postgres).await;
    whoever_has_the_role_reads_the_views_and_nothing_else(&postgres).await;
    the_page_lists_every_column_with_its_type(&postgres).await;
}

async fn chats_have_the_status_that_time_gives_them(postgres: &Postgres) {
    let database = postgres.fresh().await;
    let store = SqlStore::open(&database).await.unwrap();
    let partition = room_id(1).partition();
    let mut commit = moved(partition, 0, 1);
    let at = |ms| Some(Timestamp(ms));
    commit.chats = vec![
        ChatRow { expires_at: at(FUTURE), last_message_at: at(PAST), ..direct(room_id(1)) },
        // Nobody has written yet that its time is up.
        ChatRow { expires_at: at(PAST), ..direct(room_id(2)) },
        ChatRow { expires_at: at(FUTURE), status: 1, ended_by_user2: true, ..direct(room_id(3)) },
        ChatRow { expires_at: at(PAST), status: 2, ..direct(room_id(4)) },
        ChatRow { kind: 4, channel: "news".to_owned(), title: String::new(), creator: None, ..chat_row(room_id(5)) },
    ];
    store.commit(commit).await.unwrap();
    let mut connection = connect(&database, "kervan").await;
    let question = "SELECT status, ended_by_user1, ended_by_user2 FROM report.chats ORDER BY id";
    let found = rows(&mut connection, question).await;
    let found: Vec<_> = found.iter().map(|row| (row["status"].as_str().unwrap(), &row["ended_by_user2"])).collect();
    assert_eq!(
        found[..4],
        [("active", &json!(false)), ("expired", &json!(false)), ("ended", &json!(true)), ("expired", &json!(false))]
    );
    let one = rows(&mut connection, "SELECT * FROM report.chats WHERE 'bob' IN (user1_id, user2_id) ORDER BY id").await;
    let expected = json!({
        "id": room_id(1).0, "user1_id": "alice", "user2_id": "bob", "created_at": THEN,
        "expires_at": "3000-01-01T00:00:00+00:00", "status": "active", "ended_by_user1": false, "ended_by_user2": false,
        "last_message_at": THEN, "kind": "direct", "title": "A room, 部屋", "channel": null, "creator_id": "alice",
    });
    assert_eq!((one.len(), &one[0]), (4, &expected));
    let channel = rows(&mut connection, "SELECT kind, channel, creator_id FROM report.chats WHERE kind = 'open'").await;
    assert_eq!(channel, [json!({ "kind": "open", "channel": "news", "creator_id": null })]);
}

async fn messages_are_in_their_present_form(postgres: &Postgres) {
    let database = postgres.fresh().await;
    let store = SqlStore::open(&database).await.unwrap();
    let room = room_id(1);
    let mut commit = moved(room.partition(), 0, 1);
    // The first one has fallen below the floor, and its row is still there.
    commit.chats = vec![ChatRow { floor: Seq(2), head: Seq(6), ..direct(room) }];
    commit.members = ["alice", "bob"].map(|user| MemberChange::Put(member_row(room, user, 0))).to_vec();
    commit.room_events = (1..=6).map(|seq| message(room, seq, if seq == 3 { "" } else { r#"{"a":[1]}"# })).collect();
    let edit = |seq, body: &str| MessageEdit {
        room,
        seq: Seq(seq),
        body: body.to_owned(),
        metadata: None,
        at: Timestamp(FUTURE),
    };
    commit.edits = vec![edit(2, "hello again")];
    commit.redactions = vec![(room, Seq(4))];
    // One's own mark says nothing of a message.
    commit.read_marks = vec![mark("alice", room, 6), mark("bob", room, 4)];
    // Of a bounded age nothing older is left, whether a record has moved the floor since or not.
    let old = room_id(2);
    commit.chats.push(ChatRow { history_age_ms: 60_000, ..direct(old) });
    commit.room_events.push(message(old, 1, ""));
    store.commit(commit).await.unwrap();

    let mut connection = connect(&database, "kervan").await;
    let found = rows(&mut connection, "SELECT * FROM report.messages ORDER BY chat_id, seq").await;
    let form = |seq: u64, message: &str, status: &str, metadata: Value, edited: Value, deleted: bool| {
        json!({
            "id": uuid(seq), "chat_id": room.0, "sender_id": "alice", "message": message,
            "message_type": "text", "status": status, "metadata": metadata, "created_at": THEN, "seq": seq,
            "reply_to_seq": null, "edited_at": edited, "deleted": deleted,
        })
    };
    let metadata = json!({ "a": [1] });
    assert_eq!(
        found,
        [
            form(2, "hello again", "read", metadata.clone(), json!("3000-01-01T00:00:00+00:00"), false),
            form(3, "hello", "read", Value::Null, Value::Null, false),
            form(4, "", "read", Value::Null, Value::Null, true),
            form(5, "hello", "sent", metadata.clone(), Value::Null, false),
            form(6, "hello", "sent", metadata, Value::Null, false),
        ]
    );
}

async fn users_events_and_notifications_are_shown(postgres: &Postgres) {
    let database = postgres.fresh().await;
    let store = SqlStore::open(&database).await.unwrap();
    let (ann, room) = (user_id("ann"), room_id(7));
    let mut commit = moved(ann.partition(), 0, 1);
    commit.users = vec![UserRow {
        push_token: "token".to_owned(),
        preferences: r#"{"mute":true}"#.to_owned(),
        created_at: Timestamp(PAST),
        updated_at: Timestamp(PAST),
        head: Seq(11),
        notifications_read: room.0,
        ..user_row("ann")
    }];
    let event = |seq, kind, change: Option<u8>| UserEventRow {
        user: ann.clone(),
        seq: Seq(seq),
        kind,
        at: Timestamp(PAST),
        room: change.map(|_| room),
        room_kind: change.map(|_| 2),
        change,
        room_seq: change.map(|_| Seq(9)),
        actor: change.map(|_| user_id("bob")),
        subject: (kind == 2 || kind == 3).then(|| user_id("eve")),
        data: (kind == 5).then(|| format!(r#"{{"notifications_read":{{"up_to":"{}","ids":[]}}}}"#, room.0)),
    };
    let changes = (1..=6).map(|change| event(u64::from(change), 1, Some(change)));
    commit.user_events =
        changes.chain([event(7, 2, None), event(8, 3, None), event(9, 4, None), event(10, 5, None)]).collect();
    let notification = |id| NotificationRow {
        user: ann.clone(),
        id,
        kind: "room.joined",
        title: "New chat",
        message: "bob has a chat with you now".to_owned(),
        data: r#"{"by":"bob"}"#.to_owned(),
        at: Timestamp(PAST),
    };
    commit.notifications = [room, room_id(8), room_id(9)].map(|id| notification(id.0)).to_vec();
    // The last one is not written yet.
    commit.notifications_read = [room_id(9), room_id(10)].map(|id| (ann.clone(), id.0)).to_vec();
    store.commit(commit).await.unwrap();
    let mut connection = connect(&database, "kervan").await;
    let sign_in =
        "INSERT INTO sign_ins VALUES (gen_random_uuid(), 'ann', '', NULL, 1700000000123, 1, 2, NULL, '', 'x')";
    let analysed = "INSERT INTO analytics_events (uuid, event_type, user_id, chat, data, session_id, created_at) VALUES \
         ('00000000-0000-0000-0000-000000000007', 'opened', 'ann', NULL, '{\"page\":1}', 's-1', 1700000000123), \
         ('00000000-0000-0000-0000-000000000008', 'opened', 'ann', NULL, 'null', NULL, 1700000000123)";
    for text in [sign_in, analysed] {
        run(&mut connection, text).await.unwrap();
    }

    let user = rows(&mut connection, "SELECT * FROM report.users").await;
    let expected = json!({
        "id": "ann", "username": null, "email": null, "first_name": null, "last_name": null, "avatar_url": null,
        "push_token": "token", "notification_preferences": {"mute": true}, "last_activity_at": THEN, "created_at": THEN,
        "updated_at": THEN, "banned_at": null,
    });
    assert_eq!(user, [expected]);
    let events = rows(&mut connection, "SELECT * FROM report.user_events ORDER BY seq").await;
    let types: Vec<_> = events.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "room.joined",
            "room.left",
            "room.invited",
            "room.kicked",
            "room.ended",
            "room.reopened",
            "user.blocked",
            "user.unblocked",
            "preferences",
            "notification.read",
        ]
    );
    let expected = json!({
        "id": "ann:1", "user_id": "ann", "event_type": "room.joined", "room_id": room.0, "created_at": THEN, "seq": 1,
        "metadata": {"kind": "group", "room_seq": 9, "by": "bob"},
    });
    assert_eq!((&events[0], &events[6]["metadata"]), (&expected, &json!({ "user": "eve" })));
    assert_eq!(events[9]["metadata"], json!({ "up_to": room.0, "ids": [] }));
    let noticed = rows(&mut connection, "SELECT * FROM report.notifications ORDER BY id").await;
    let read: Vec<_> = noticed.iter().map(|one| (one["id"].clone(), one["is_read"].clone())).collect();
    let expected = [(room, true), (room_id(8), false), (room_id(9), true)].map(|(id, is)| (json!(id.0), json!(is)));
    assert_eq!(read, expected);
    let expected = json!({
        "id": room.0, "user_id": "ann", "type": "room.joined", "title": "New chat", "is_read": true, "created_at": THEN,
        "message": "bob has a chat with you now", "data": {"by": "bob"},
    });
    assert_eq!(noticed[0], expected);
    let analysed = rows(&mut connection, "SELECT * FROM report.analytics_events ORDER BY id").await;
    let expected = json!({
        "id": "00000000-0000-0000-0000-000000000007", "user_id": "ann", "event_type": "opened",
        "event_data": {"page": 1}, "session_id": "s-1", "created_at": THEN, "chat_id": null,
    });
    assert_eq!((&analysed[0], &analysed[1]["event_data"]), (&expected, &Value::Null));
}

async fn json_that_jsonb_can_not_hold_fails_no_question(postgres: &Postgres) {
    let database = postgres.fresh().await;
    let store = SqlStore::open(&database).await.unwrap();
    let room = room_id(1);
    let deep = format!("{}{}", "[".repeat(4096), "]".repeat(4096));
    // The last one is no JSON, which no way in takes.
    let texts = [r#"{"a":"\u0000"}"#, "1e999999", r#""\ud800""#, &deep, r#"{"a":1,"a":2}"#, "{"];
    let mut commit = moved(room.partition(), 0, 1);
    commit.chats = vec![direct(room)];
    commit.room_events = (1..).zip(texts).map(|(seq, text)| message(room, seq, text)).collect();
    commit.notifications = vec![];
    store.commit(commit).await.unwrap();
    let mut connection = connect(&database, "kervan").await;
    for text in texts {
        let add = format!(
            "INSERT INTO users (id, notification_preferences, created_at, updated_at) VALUES (md5('{text}'), '{text}', 1, 1); \
             INSERT INTO analytics_events (uuid, event_type, data, created_at) VALUES (gen_random_uuid(), 'x', '{text}', 1); \
             INSERT INTO notifications VALUES ('ann', gen_random_uuid(), 'x', '', '', '{text}', FALSE, 1)"
        );
        run(&mut connection, &add).await.unwrap();
    }
    for (view, column) in [
        ("messages", "metadata"),
        ("users", "notification_preferences"),
        ("analytics_events", "event_data"),
        ("notifications", "data"),
    ] {
        let question = format!("SELECT count({column}) AS n FROM report.{view}");
        assert_eq!(rows(&mut connection, &question).await, [json!({ "n": texts.len() })], "{view}");
    }
    // row_to_json would not read the deep one again.
    let question = "SELECT metadata FROM report.messages WHERE seq <> 4 ORDER BY seq";
    let found: Vec<_> = rows(&mut connection, question).await.into_iter().map(|row| row["metadata"].clone()).collect();
    assert_eq!(found, [json!(texts[0]), json!(texts[1]), json!(texts[2]), json!({ "a": 2 }), json!("{")]);
    let question = "SELECT jsonb_typeof(metadata) AS type FROM report.messages WHERE seq = 4";
    assert_eq!(rows(&mut connection, question).await, [json!({ "type": "array" })]);
}

async fn a_time_that_is_none_fails_no_question(postgres: &Postgres) {
    let database = postgres.fresh().await;
    let store = SqlStore::open(&database).await.unwrap();
    let mut commit = moved(Partition::FIRST, 0, 1);
    let never = Timestamp(u64::MAX);
    commit.chats = vec![ChatRow { created_at: never, expires_at: Some(never), ..direct(room_id(1)) }];
    store.commit(commit).await.unwrap();
    let mut connection = connect(&database, "kervan").await;
    let found = rows(&mut connection, "SELECT created_at, expires_at, status FROM report.chats").await;
    assert_eq!(found, [json!({ "created_at": "infinity", "expires_at": "infinity", "status": "active" })]);
}

async fn whoever_has_the_role_reads_the_views_and_nothing_else(postgres: &Postgres) {
    let database = postgres.fresh().await;
    let mut owner = connect(&database, "kervan").await;
    for block in report::sql_blocks().filter(|block| block.contains("CREATE ROLE anna")) {
        run(&mut owner, block).await.unwrap();
    }
    let relations = "SELECT n.nspname || '.' || c.relname AS name, c.relkind = 'v' AS view FROM pg_class AS c \
         JOIN pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE n.nspname IN ('public', 'report') AND c.relkind IN ('r', 'v', 'S')";
    let relations = rows(&mut owner, relations).await;
    assert!(relations.len() > 25, "{relations:?}");
    let mut anna = connect(&database, "anna").await;
    for relation in &relations {
        let (name, view) = (relation["name"].as_str().unwrap(), relation["view"] == true);
        assert_eq!(run(&mut anna, &format!("SELECT * FROM {name}")).await.is_ok(), view, "{name}");
        for forbidden in [format!("DELETE FROM {name}"), format!("DROP VIEW {name}")] {
            assert!(run(&mut anna, &forbidden).await.is_err(), "{forbidden}");
        }
    }
    for forbidden in [
        "UPDATE report.users SET username = 'x'",
        "INSERT INTO report.notifications (user_id) VALUES ('x')",
        "CREATE TABLE report.mine (a INT)",
        "CREATE TABLE mine (a INT)",
    ] {
        let refused = run(&mut anna, forbidden).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{forbidden}: {refused}");
    }
}

/// Types as the page names them.
fn type_name(internal: &str) -> &str {
    match internal {
        "bool" => "boolean",
        "int8" => "bigint",
        other => other,
    }
}

async fn the_page_lists_every_column_with_its_type(postgres: &Postgres) {
    let mut connection = connect(&postgres.fresh().await, "kervan").await;
    let columns = "SELECT table_name, column_name, udt_name FROM information_schema.columns \
         WHERE table_schema = 'report' ORDER BY table_name, ordinal_position";
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let mut there: Vec<_> = Vec::new();
    for row in rows(&mut connection, columns).await {
        let kind = text(&row, "udt_name");
        there.push((text(&row, "table_name"), text(&row, "column_name"), type_name(&kind).to_owned()));
    }
    let mut listed: Vec<_> = report::columns().collect();
    // By view; the columns of each stay in the page's order.
    listed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    assert_eq!(listed, there);
}

/// A server on which Kervan's user owns its database and nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_make_roles_gets_the_views_and_somebody_else_makes_the_role() {
    let server = Server::start();
    let root = Database::Postgres(server.url.clone());
    let mut operator = connect(&root, "kervan").await;
    run(&mut operator, "CREATE ROLE small LOGIN").await.unwrap();
    run(&mut operator, "CREATE DATABASE small OWNER small").await.unwrap();
    let url = server.url.replace("/postgres?", "/small?").replace("kervan@", "small@");
    let database = Database::Postgres(url);
    migrate::migrate(&database).await.unwrap();
    let mut operator = connect(&database, "kervan").await;
    let roles = "SELECT rolname FROM pg_roles WHERE rolname = 'kervan_report'";
    assert!(rows(&mut operator, roles).await.is_empty());
    let made = report::sql_blocks().find(|block| block.contains("CREATE ROLE kervan_report")).unwrap();
    run(&mut operator, made).await.unwrap();
    run(&mut operator, "CREATE ROLE eve LOGIN IN ROLE kervan_report").await.unwrap();
    let mut eve = connect(&database, "eve").await;
    assert!(rows(&mut eve, "SELECT * FROM report.users").await.is_empty());
    assert!(run(&mut eve, "SELECT * FROM users").await.unwrap_err().contains("permission denied"));
    // Where the role is there already, as on a server with two databases, it is granted.
    run(&mut operator, "CREATE DATABASE second OWNER small").await.unwrap();
    let second = Database::Postgres(server.url.replace("/postgres?", "/second?").replace("kervan@", "small@"));
    migrate::migrate(&second).await.unwrap();
    let mut eve = connect(&second, "eve").await;
    assert!(rows(&mut eve, "SELECT * FROM report.messages").await.is_empty());
}
