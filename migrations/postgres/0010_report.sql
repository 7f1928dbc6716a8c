-- The schema `report`: read-only views for people who query by SQL (docs/report.md). What a view shows is what REST says.
-- Within version 1 a view's columns keep their names, types, order and meaning; others may follow behind them.

-- Which of the application's own sessions an event belongs to.
ALTER TABLE analytics_events ADD COLUMN session_id TEXT;

CREATE SCHEMA report;
COMMENT ON SCHEMA report IS 'Kervan: read-only views, version 1';

-- Milliseconds since the Unix epoch as a time. Bounded: a time that a row holds must never make a query, or a write into an
-- index below, fail. In plain SQL and not STRICT, so that the planner puts its text in its place and finds those indexes.
CREATE FUNCTION report.moment(ms BIGINT) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ms <= 253402300799999 THEN to_timestamp(ms / 1000::float8)
                WHEN ms > 253402300799999 THEN timestamptz 'infinity' END
$$;

-- JSON text as jsonb. What jsonb can't hold (\u0000, half a surrogate pair, 1e999999) comes as a JSON string of the text: one
-- such row must not make a query over all of them fail. From PostgreSQL 16 on the text is tried without an exception, so
-- that queries may run in parallel. Texts that are longer than Kervan takes them are not tried there: nesting that exhausts
-- the server's stack is an error all the same. The steps stand in IFs, as a CASE may be evaluated ahead of its condition.
DO $do$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        CREATE FUNCTION report.as_jsonb(value TEXT) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
            BEGIN
                IF octet_length(value) <= 8192 AND pg_input_is_valid(value, 'jsonb') THEN
                    RETURN value::jsonb;
                END IF;
                RETURN to_jsonb(value);
            END
        $$;
    ELSE
        CREATE FUNCTION report.as_jsonb(value TEXT) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE AS $$
            BEGIN
                RETURN value::jsonb;
            EXCEPTION WHEN OTHERS THEN
                RETURN to_jsonb(value);
            END
        $$;
    END IF;
END
$do$;

-- User ids are compared byte by byte, as the program does it. When somebody was last active is not kept: it is the latest
-- of what the rows tell.
CREATE VIEW report.users AS
    SELECT u.id, u.username, u.email, u.first_name, u.last_name, u.avatar_url, u.push_token,
           report.as_jsonb(NULLIF(u.notification_preferences, '')) AS notification_preferences,
           report.moment(GREATEST(
               u.last_activity_at,
               (SELECT MAX(s.rotated_at) FROM sign_ins AS s WHERE s.user_id = u.id),
               (SELECT MAX(d.seen_at) FROM devices AS d WHERE d.user_id = u.id)
           )) AS last_activity_at,
           report.moment(u.created_at) AS created_at,
           report.moment(u.updated_at) AS updated_at,
           report.moment(u.banned_at) AS banned_at
    FROM users AS u;

-- A chat whose time is up is expired, whether that has been written yet or not.
CREATE VIEW report.chats AS
    SELECT c.uuid AS id,
           c.user1 COLLATE "C" AS user1_id,
           c.user2 COLLATE "C" AS user2_id,
           report.moment(c.created_at) AS created_at,
           report.moment(c.expires_at) AS expires_at,
           CASE c.status
               WHEN 0 THEN CASE WHEN report.moment(c.expires_at) <= now() THEN 'expired' ELSE 'active' END
               WHEN 1 THEN 'ended'
               WHEN 2 THEN 'expired'
           END AS status,
           c.ended_by_user1,
           c.ended_by_user2,
           report.moment(c.last_message_at) AS last_message_at,
           CASE c.kind WHEN 1 THEN 'direct' WHEN 2 THEN 'group' WHEN 3 THEN 'broadcast' WHEN 4 THEN 'open' END AS kind,
           c.title,
           NULLIF(c.channel, '') AS channel,
           c.creator COLLATE "C" AS creator_id
    FROM chats AS c;

-- What can be had through the program: not what is below a chat's floor or older than its history goes, though its rows may
-- still be there. A message is read once the mark of anybody else has passed it.
CREATE VIEW report.messages AS
    SELECT m.uuid AS id,
           m.chat AS chat_id,
           m.sender COLLATE "C" AS sender_id,
           m.body AS message,
           m.message_type,
           CASE WHEN m.status = 2 OR EXISTS (
                    SELECT FROM read_marks AS r
                    WHERE r.chat = m.chat AND r.seq >= m.seq AND r.user_id IS DISTINCT FROM m.sender
                ) THEN 'read'
                WHEN m.status = 1 THEN 'delivered'
                ELSE 'sent' END AS status,
           report.as_jsonb(NULLIF(m.metadata, '')) AS metadata,
           report.moment(m.created_at) AS created_at,
           m.seq,
           m.reply_to AS reply_to_seq,
           report.moment(m.edited_at) AS edited_at,
           m.deleted
    FROM messages AS m JOIN chats AS c ON c.uuid = m.chat
    WHERE m.seq >= c.floor_seq
      AND (c.history_age_ms = 0 OR m.created_at >= extract(epoch FROM now()) * 1000 - c.history_age_ms);

-- The events of each user's personal stream, under the names that the stream has for them.
CREATE VIEW report.user_events AS
    SELECT e.user_id || ':' || e.seq AS id,
           e.user_id,
           CASE e.kind
               WHEN 1 THEN CASE e.change
                   WHEN 1 THEN 'room.joined' WHEN 2 THEN 'room.left' WHEN 3 THEN 'room.invited'
                   WHEN 4 THEN 'room.kicked' WHEN 5 THEN 'room.ended' WHEN 6 THEN 'room.reopened' END
               WHEN 2 THEN 'user.blocked'
               WHEN 3 THEN 'user.unblocked'
               WHEN 4 THEN 'preferences'
           END AS event_type,
           e.chat AS room_id,
           jsonb_strip_nulls(jsonb_build_object(
               'kind', CASE e.chat_kind WHEN 1 THEN 'direct' WHEN 2 THEN 'group' WHEN 3 THEN 'broadcast' WHEN 4 THEN 'open' END,
               'room_seq', e.chat_seq,
               'by', e.actor,
               'user', e.subject
           )) AS metadata,
           report.moment(e.at) AS created_at,
           e.seq
    FROM user_events AS e;

CREATE VIEW report.analytics_events AS
    SELECT a.uuid AS id, a.user_id, a.event_type,
           report.as_jsonb(NULLIF(a.data, 'null')) AS event_data,
           a.session_id,
           report.moment(a.created_at) AS created_at,
           a.chat AS chat_id
    FROM analytics_events AS a;

CREATE VIEW report.notifications AS
    SELECT n.uuid AS id, n.user_id, n.type, n.title, n.message,
           report.as_jsonb(n.data) AS data,
           n.is_read,
           report.moment(n.created_at) AS created_at
    FROM notifications AS n;

-- By user, by chat and by time. Most queries find their rows by the keys of the tables. Where rows only come at the end a
-- BRIN index serves time: it has an entry for each megabyte, and costs a write next to nothing. What is left are ids that
-- repeat, which a B-tree keeps once each. In the order of bytes, as the views compare them.
CREATE INDEX messages_moment ON messages USING brin (report.moment(created_at)) WITH (autosummarize = on);
CREATE INDEX messages_sender ON messages (sender COLLATE "C");
CREATE INDEX user_events_moment ON user_events USING brin (report.moment(at)) WITH (autosummarize = on);
CREATE INDEX user_events_chat ON user_events (chat) WHERE chat IS NOT NULL;
CREATE INDEX analytics_events_moment ON analytics_events USING brin (report.moment(created_at)) WITH (autosummarize = on);
CREATE INDEX analytics_events_user ON analytics_events (user_id);
CREATE INDEX analytics_events_chat ON analytics_events (chat) WHERE chat IS NOT NULL;
CREATE INDEX notifications_moment ON notifications USING brin (report.moment(created_at)) WITH (autosummarize = on);
-- Rows of these are changed in their places: there is no end that time could be told by. There are few of them.
CREATE INDEX chats_user1 ON chats (user1 COLLATE "C") WHERE user1 IS NOT NULL;
CREATE INDEX chats_user2 ON chats (user2 COLLATE "C") WHERE user2 IS NOT NULL;
CREATE INDEX chats_moment ON chats (report.moment(created_at));
CREATE INDEX users_moment ON users (report.moment(created_at));

-- Who may read the views and nothing else: granted to people by the operator. Whoever migrates may not be allowed to make
-- roles; then the operator makes it, as docs/report.md says.
DO $do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kervan_report') THEN
        BEGIN
            CREATE ROLE kervan_report NOLOGIN;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'there is no role kervan_report, and this user may not create it: see docs/report.md';
            -- Another database of the same server is migrated at the same moment.
            WHEN duplicate_object OR unique_violation THEN
                NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'kervan_report') THEN
        GRANT USAGE ON SCHEMA report TO kervan_report;
        GRANT SELECT ON ALL TABLES IN SCHEMA report TO kervan_report;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA report TO kervan_report;
    END IF;
END
$do$;
