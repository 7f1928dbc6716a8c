//! Every SQL text of the store, in one place, so that one test can look at the plan of each.

use crate::storage::notifications;
use crate::storage::sql::Bulk;

/// The statements over many rows.
#[derive(Clone)]
pub(super) struct Bulks {
    pub watermarks: Bulk,
    pub chats: Bulk,
    pub members: Bulk,
    pub listings: Bulk,
    pub sent: Bulk,
    pub room_events: Bulk,
    pub message_events: Bulk,
    pub messages: Bulk,
    pub room_blocks: Bulk,
    pub room_sources: Bulk,
    pub room_decisions: Bulk,
    pub users: Bulk,
    pub user_events: Bulk,
    pub notifications: Bulk,
    pub notifications_read: Bulk,
    pub user_rooms: Bulk,
    pub past_marks: Bulk,
    pub read_marks: Bulk,
    pub blocks: Bulk,
    pub devices: Bulk,
    pub user_sources: Bulk,
    pub outbox: Bulk,
    pub told: Bulk,
    pub dead_letters: Bulk,
    pub user_heads: Bulk,
    pub devices_of: Bulk,
    pub blocks_of: Bulk,
    pub rooms_of: Bulk,
    pub read_marks_of: Bulk,
    pub sources_of: Bulk,
}

/// Names with what stands before each of them, as a list.
macro_rules! list_of {
    ($before:literal $first:literal $($rest:literal)*) => {
        concat!($before, $first $(, ", ", $before, $rest)*)
    };
}
/// Columns of `chats`, as [`super::read`] expects them.
macro_rules! chat_columns {
    () => {
        chat_columns!("")
    };
    ($before:literal) => {
        list_of!($before
            "uuid" "kind" "status" "title" "channel" "creator" "user1" "user2" "ended_by_user1" "ended_by_user2"
            "created_at" "expires_at" "last_message_at" "public" "may_send" "max_members" "history_events"
            "history_age_ms" "generation" "head_seq" "floor_seq" "last_message_no" "opened_seq" "opened_at" "opened_id"
            "closed_seq" "closed_at" "closed_id" "window_seq" "evicted_until" "applied_offset" "chain")
    };
}
macro_rules! user_columns {
    () => {
        user_columns!("")
    };
    ($before:literal) => {
        list_of!($before "id" "push_token" "notification_preferences" "created_at" "updated_at" "head_seq" "applied_offset" "chain"
            "decisions" "notifications_read")
    };
}
macro_rules! member_columns {
    () => {
        "chat, user_id, state, seq, sent_no, joined_no, invited_by, kicked"
    };
}
macro_rules! message_columns {
    () => {
        message_columns!("")
    };
    ($before:literal) => {
        list_of!($before
            "chat" "seq" "uuid" "message_no" "sender" "client_message_id" "body" "message_type" "metadata" "reply_to"
            "data" "created_at" "edited_at" "deleted")
    };
}
/// Lines of a room list; what chooses them follows.
macro_rules! list_lines {
    () => {
        concat!(
            "SELECT m.state, m.sent_no, m.joined_no, r.seq, r.message_no, ",
            chat_columns!("c."),
            ", l.seq IS NOT NULL, ",
            message_columns!("l."),
            " FROM members AS m JOIN chats AS c ON c.uuid = m.chat \
             LEFT JOIN read_marks AS r ON r.user_id = m.user_id AND r.chat = m.chat \
             LEFT JOIN messages AS l ON l.chat = m.chat AND m.state = 0 AND l.seq >= c.floor_seq \
             AND l.seq = (SELECT MAX(seq) FROM messages WHERE chat = m.chat) "
        )
    };
}
macro_rules! user_event_columns {
    () => {
        "user_id, seq, kind, at, chat, chat_kind, change, chat_seq, actor, subject, data"
    };
}
macro_rules! event_columns {
    () => {
        "seq, kind, actor, target, command_id, client_id, at, data"
    };
}
/// A message as the event that it was.
macro_rules! original_columns {
    () => {
        "seq, uuid, message_no, sender, client_message_id, COALESCE(original_body, body), message_type, \
         COALESCE(original_metadata, metadata), reply_to, data, created_at, deleted"
    };
}

/// What is shown of a mark never falls; what the fold knows is what it says.
const MARK_RISES: &str = " ON CONFLICT (user_id, chat) DO UPDATE SET \
     seq = CASE WHEN excluded.seq > read_marks.seq THEN excluded.seq ELSE read_marks.seq END, \
     message_no = CASE WHEN excluded.message_no > read_marks.message_no THEN excluded.message_no \
     ELSE read_marks.message_no END, folded_seq = excluded.folded_seq, folded_no = excluded.folded_no";

impl Bulks {
    pub(super) fn new() -> Self {
        Self {
            watermarks: Bulk::about(
                "p, old, next, hash, time, version, last",
                "UPDATE watermarks SET next_offset = v.next, log_hash = v.hash, fold_time = v.time, \
                 fold_version = v.version, last_record = v.last FROM v \
                 WHERE watermarks.partition = v.p AND watermarks.next_offset = v.old",
            ),
            chats: Bulk::upsert("chats", chat_columns!(), "uuid", &["created_at"]),
            members: Bulk::upsert("members", member_columns!(), "chat, user_id", &[]),
            listings: Bulk::about(
                "c, s, a",
                "UPDATE members SET shelf = v.s, active_at = v.a FROM v WHERE members.chat = v.c",
            ),
            sent: Bulk::about(
                "c, u, n",
                "UPDATE members SET sent_no = v.n FROM v WHERE members.chat = v.c AND members.user_id = v.u",
            ),
            room_events: Bulk::insert("room_events", concat!("chat, ", event_columns!())),
            // All else that a message's event says stands in its row of `messages`.
            message_events: Bulk::insert("room_events", "chat, seq, kind"),
            messages: Bulk::insert(
                "messages",
                "chat, seq, uuid, message_no, sender, client_message_id, body, message_type, status, metadata, reply_to, \
                 data, created_at, edited, deleted",
            ),
            room_blocks: Bulk::new("INSERT INTO room_blocks (chat, user_id)", 2, " ON CONFLICT DO NOTHING"),
            room_sources: Bulk::upsert(
                "room_sources",
                "chat, source_partition, source_offset",
                "chat, source_partition",
                &[],
            ),
            room_decisions: Bulk::upsert("room_decisions", "chat, decisions", "chat", &[]),
            users: Bulk::upsert("users", user_columns!(), "id", &["created_at"]),
            user_events: Bulk::insert("user_events", user_event_columns!()),
            notifications: notifications::writes::put(),
            notifications_read: notifications::writes::read(),
            user_rooms: Bulk::upsert(
                "user_rooms",
                "user_id, chat, kind, state, seq, muted_until",
                "user_id, chat",
                &[],
            ),
            past_marks: Bulk::new("INSERT INTO read_marks (user_id, chat, seq, message_no)", 4, MARK_RISES),
            read_marks: Bulk::new(
                "INSERT INTO read_marks (user_id, chat, seq, message_no, folded_seq, folded_no)",
                6,
                MARK_RISES,
            ),
            blocks: Bulk::upsert("blocks", "user_id, blocked, created_at", "user_id, blocked", &[]),
            devices: Bulk::upsert("devices", "user_id, device, platform, push_token, seen_at", "user_id, device", &[]),
            user_sources: Bulk::upsert(
                "user_sources",
                "user_id, source_partition, source_offset",
                "user_id, source_partition",
                &[],
            ),
            outbox: Bulk::insert(
                "relay_outbox",
                "source_partition, source_offset, ord, target_partition, record, chat, after_user",
            ),
            told: Bulk::about(
                "p, o, n",
                "DELETE FROM relay_outbox WHERE (source_partition, source_offset, ord) IN (SELECT p, o, n FROM v)",
            ),
            dead_letters: Bulk::insert("dead_letters", "source_partition, source_offset, at, reason, record"),
            // The planner has no statistics: `CROSS JOIN` says what is few.
            user_heads: Bulk::about(
                "u, p",
                concat!(
                    "SELECT v.u, w.partition, w.next_offset, w.log_hash, w.fold_time, w.fold_version, w.last_record, \
                     EXISTS (SELECT 1 FROM devices WHERE user_id = v.u), \
                     EXISTS (SELECT 1 FROM blocks WHERE user_id = v.u), \
                     EXISTS (SELECT 1 FROM user_rooms WHERE user_id = v.u), \
                     EXISTS (SELECT 1 FROM read_marks INDEXED BY read_marks_folded \
                     WHERE user_id = v.u AND folded_seq IS NOT NULL), \
                     EXISTS (SELECT 1 FROM user_sources WHERE user_id = v.u), ",
                    user_columns!("n."),
                    " FROM v CROSS JOIN watermarks AS w LEFT JOIN users AS n ON n.id = v.u WHERE w.partition = v.p"
                ),
            ),
            devices_of: Bulk::about(
                "u",
                "SELECT user_id, device, platform, push_token, seen_at FROM v CROSS JOIN devices WHERE user_id = v.u",
            ),
            blocks_of: Bulk::about(
                "u",
                "SELECT user_id, blocked, created_at FROM v CROSS JOIN blocks WHERE user_id = v.u",
            ),
            rooms_of: Bulk::about(
                "u",
                "SELECT user_id, chat, kind, state, seq, muted_until FROM v CROSS JOIN user_rooms WHERE user_id = v.u",
            ),
            // By the index that holds no others: the user's key has those of all rooms that the user ever was in.
            read_marks_of: Bulk::about(
                "u",
                "SELECT user_id, chat, folded_seq, folded_no FROM v CROSS JOIN read_marks INDEXED BY read_marks_folded \
                 WHERE user_id = v.u AND folded_seq IS NOT NULL",
            ),
            sources_of: Bulk::about(
                "u",
                "SELECT user_id, source_partition, source_offset FROM v CROSS JOIN user_sources WHERE user_id = v.u",
            ),
        }
    }

    /// Every text, for the test of plans.
    #[cfg(test)]
    pub(super) fn texts(&self) -> Vec<std::sync::Arc<str>> {
        let all = [
            &self.watermarks,
            &self.chats,
            &self.members,
            &self.listings,
            &self.sent,
            &self.room_events,
            &self.message_events,
            &self.messages,
            &self.room_blocks,
            &self.room_sources,
            &self.room_decisions,
            &self.users,
            &self.user_events,
            &self.notifications,
            &self.notifications_read,
            &self.user_rooms,
            &self.past_marks,
            &self.read_marks,
            &self.blocks,
            &self.devices,
            &self.user_sources,
            &self.outbox,
            &self.told,
            &self.dead_letters,
            &self.user_heads,
            &self.devices_of,
            &self.blocks_of,
            &self.rooms_of,
            &self.read_marks_of,
            &self.sources_of,
        ];
        all.iter().flat_map(|bulk| bulk.texts().cloned()).collect()
    }
}

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(pub(super) const $name: &str = $text;)*

        /// Every single statement, for the test of plans.
        #[cfg(test)]
        pub(super) const ALL: &[&str] = &[$($name),*];
    };
}

statements! {
    // Writes.
    MEMBER_REMOVE = "DELETE FROM members WHERE chat = ? AND user_id = ?";
    ROOM_BLOCK_REMOVE = "DELETE FROM room_blocks WHERE chat = ? AND user_id = ?";
    USER_ROOM_REMOVE = "DELETE FROM user_rooms WHERE user_id = ? AND chat = ?";
    MARK_FORGET = "UPDATE read_marks SET folded_seq = NULL, folded_no = NULL WHERE user_id = ? AND chat = ?";
    BLOCK_REMOVE = "DELETE FROM blocks WHERE user_id = ? AND blocked = ?";
    DEVICE_REMOVE = "DELETE FROM devices WHERE user_id = ? AND device = ?";
    // The first edit keeps what the event said. A deleted message stays empty.
    MESSAGE_EDIT = "UPDATE messages SET original_body = COALESCE(original_body, body), \
         original_metadata = COALESCE(original_metadata, metadata), body = ?, metadata = COALESCE(?, metadata), \
         edited = TRUE, edited_at = ? WHERE chat = ? AND seq = ? AND NOT deleted";
    MESSAGE_REDACT = "UPDATE messages SET body = '', metadata = '', reply_to = NULL, data = NULL, original_body = NULL, \
         original_metadata = NULL, deleted = TRUE WHERE chat = ? AND seq = ?";
    // Without statistics the planner would read all events of the room.
    EDITS_REDACT = "UPDATE room_events INDEXED BY room_events_target SET data = NULL WHERE chat = ? AND target = ?";
    REACTION_PUT = "INSERT INTO reactions (chat, seq, emoji, user_id) SELECT chat, seq, ?, ? FROM messages \
         WHERE chat = ? AND seq = ? AND NOT deleted ON CONFLICT DO NOTHING";
    REACTION_REMOVE = "DELETE FROM reactions WHERE emoji = ? AND user_id = ? AND chat = ? AND seq = ?";
    REACTIONS_REDACT = "DELETE FROM reactions WHERE chat = ? AND seq = ?";
    REACTIONS_TRIM = "DELETE FROM reactions WHERE chat = ? AND seq < ?";
    EVENTS_TRIM = "DELETE FROM room_events WHERE chat = ? AND seq < ?";
    MESSAGES_TRIM = "DELETE FROM messages WHERE chat = ? AND seq < ?";
    WINDOW_PIECE = "INSERT INTO room_windows (chat, first_seq, piece) VALUES (?, ?, ?)";
    WINDOW_FORGET = "DELETE FROM room_windows WHERE chat = ? AND first_seq <= ?";
    DEAD_LETTERS_TRIM = "DELETE FROM dead_letters WHERE source_partition = ? AND source_offset <= \
         (SELECT source_offset FROM dead_letters WHERE source_partition = ? ORDER BY source_offset DESC LIMIT 1 OFFSET ?)";
    RELAY_LAST = "SELECT MAX(ord) FROM relay_outbox WHERE source_partition = ? AND source_offset = ?";
    RELAY_ADVANCE = "UPDATE relay_outbox SET after_user = ? WHERE source_partition = ? AND source_offset = ? AND ord = ? \
         AND chat IS NOT NULL AND COALESCE(after_user, '') = ?";
    RELAY_FINISH = "DELETE FROM relay_outbox WHERE source_partition = ? AND source_offset = ? AND ord = ? \
         AND chat IS NOT NULL AND COALESCE(after_user, '') = ?";
    META_SET = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    // Reads.
    HEAD = "SELECT head_seq FROM chats WHERE uuid = ?";
    REACTIONS = "SELECT seq, emoji, COUNT(*), COUNT(CASE WHEN user_id = ? THEN 1 END) FROM reactions \
         WHERE chat = ? AND seq BETWEEN ? AND ? GROUP BY seq, emoji ORDER BY seq, emoji";
    // From one emoji to the next one behind it: a popular message has thousands of rows, and few different emoji.
    EMOJI_ON = "WITH RECURSIVE found(emoji) AS (SELECT MIN(emoji) FROM reactions WHERE chat = ? AND seq = ? UNION ALL \
         SELECT (SELECT MIN(r.emoji) FROM reactions AS r WHERE r.chat = ? AND r.seq = ? AND r.emoji > found.emoji) \
         FROM found WHERE found.emoji IS NOT NULL) SELECT emoji FROM found WHERE emoji IS NOT NULL LIMIT ?";
    META = "SELECT value FROM meta WHERE key = ?";
    // The one table that is read as a whole: 256 rows.
    WATERMARKS = "SELECT partition, next_offset, log_hash, fold_time, fold_version, last_record FROM watermarks ORDER BY partition";
    WATERMARK = "SELECT partition, next_offset, log_hash, fold_time, fold_version, last_record FROM watermarks \
         WHERE partition = ?";
    CHAT = concat!("SELECT ", chat_columns!(), " FROM chats WHERE uuid = ?");
    MEMBER = concat!("SELECT ", member_columns!(), " FROM members WHERE chat = ? AND user_id = ?");
    MEMBERS = concat!(
        "SELECT ", member_columns!(), " FROM members WHERE chat = ? AND user_id > ? ORDER BY user_id LIMIT ?"
    );
    INVITATIONS = concat!(
        "SELECT ", member_columns!(), " FROM members WHERE invited_by = ? AND state = 1 AND chat BETWEEN ? AND ? \
         AND (? IS NULL OR user_id = ?) ORDER BY chat, user_id LIMIT ?"
    );
    INVITATIONS_OUT = "SELECT COUNT(*) FROM (SELECT 1 FROM members WHERE invited_by = ? AND state = 1 LIMIT ?) AS v";
    // Bounded in what it reads: those into rooms that are over stay, and are not counted.
    PENDING = "SELECT COUNT(*), COALESCE(SUM(v.lives), 0) FROM (SELECT CASE c.status WHEN 0 THEN 1 ELSE 0 END AS lives FROM members AS m \
         JOIN chats AS c ON c.uuid = m.chat WHERE m.invited_by = ? AND m.state = 1 LIMIT ?) AS v";
    ROOM_SOURCES = "SELECT source_partition, source_offset FROM room_sources WHERE chat = ? ORDER BY source_partition";
    ROOM_DECISIONS = "SELECT decisions FROM room_decisions WHERE chat = ?";
    ROOM_BLOCKS = "SELECT user_id FROM room_blocks WHERE chat = ? ORDER BY user_id";
    WINDOW_MESSAGES = "SELECT seq, uuid, sender, client_message_id, created_at FROM messages \
         WHERE chat = ? AND seq BETWEEN ? AND ?";
    WINDOW_EVENTS = "SELECT seq, command_id, actor, client_id, at, kind, target FROM room_events \
         WHERE chat = ? AND seq BETWEEN ? AND ? AND kind <> 2";
    WINDOW_PIECES = "SELECT first_seq, piece FROM room_windows WHERE chat = ? AND first_seq > ? ORDER BY first_seq";
    EVENTS = concat!(
        "SELECT ", event_columns!(), " FROM room_events WHERE chat = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
    );
    EVENTS_BACK = concat!(
        "SELECT ", event_columns!(), " FROM room_events WHERE chat = ? AND seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT ?"
    );
    ORIGINALS = concat!(
        "SELECT ", original_columns!(), " FROM messages WHERE chat = ? AND seq BETWEEN ? AND ? ORDER BY seq"
    );
    ORIGINALS_BACK = concat!(
        "SELECT ", original_columns!(), " FROM messages WHERE chat = ? AND seq BETWEEN ? AND ? ORDER BY seq DESC"
    );
    MESSAGES = concat!(
        "SELECT ", message_columns!(), " FROM messages WHERE chat = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
    );
    MESSAGES_BACK = concat!(
        "SELECT ", message_columns!(), " FROM messages WHERE chat = ? AND seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT ?"
    );
    USERS = concat!("SELECT ", user_columns!(), " FROM users WHERE id > ? ORDER BY id LIMIT ?");
    ROOMS = concat!("SELECT ", chat_columns!(), " FROM chats WHERE uuid > ? ORDER BY uuid LIMIT ?");
    USER_EVENTS = concat!(
        "SELECT ", user_event_columns!(),
        " FROM user_events WHERE user_id = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
    );
    USER_EVENTS_BACK = concat!(
        "SELECT ", user_event_columns!(),
        " FROM user_events WHERE user_id = ? AND seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT ?"
    );
    // Lines of the rooms that the members' rows follow, in the order of the list.
    LIST = concat!(
        list_lines!(),
        "WHERE m.user_id = ? AND m.shelf = ? AND m.state < 2 AND (m.active_at, m.chat) < (?, ?) \
         ORDER BY m.active_at DESC, m.chat DESC LIMIT ?"
    );
    LIST_LINE = concat!(list_lines!(), "WHERE m.user_id = ? AND m.chat = ? AND m.state < 2");
    // Large rooms: sorting them is the reader's.
    LIST_LARGE = "SELECT m.chat, c.status, COALESCE(c.last_message_at, c.created_at) \
         FROM members AS m JOIN chats AS c ON c.uuid = m.chat WHERE m.user_id = ? AND m.shelf = 2 AND m.state < 2";
    READ_MARKS = "SELECT user_id, chat, seq, message_no FROM read_marks WHERE chat = ? AND user_id > ? ORDER BY user_id LIMIT ?";
    DEAD_LETTERS = "SELECT source_partition, source_offset, at, reason, record FROM dead_letters \
         WHERE source_partition = ? ORDER BY source_offset LIMIT ?";
    EXPIRING = "SELECT expires_at, uuid FROM chats WHERE status = 0 AND expires_at <= ? AND (expires_at, uuid) > (?, ?) \
         ORDER BY expires_at, uuid LIMIT ?";
    RELAY_NEXT = "SELECT source_partition, source_offset, ord, target_partition, record, chat, after_user \
         FROM relay_outbox WHERE (source_partition, source_offset, ord) >= (?, ?, ?) \
         ORDER BY source_partition, source_offset, ord LIMIT ?";
}
