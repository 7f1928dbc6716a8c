-- A million messages, and of everything else so much that nobody would read all of it. Messages come in the order of time,
-- one each 100 ms up to now, and go round through 10,000 chats, each fifth of 50,000. Nothing of it goes through the log.

DO $$
DECLARE
    name TEXT;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE 'ALTER TABLE ' || name || ' SET UNLOGGED';
    END LOOP;
END
$$;

CREATE FUNCTION pg_temp.id(n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE FUNCTION pg_temp.ago(n BIGINT) RETURNS BIGINT LANGUAGE sql STABLE AS
    $$ SELECT (extract(epoch FROM now()) * 1000)::bigint - n * 100 $$;

INSERT INTO users (id, username, email, first_name, last_name, name_key, last_key, created_at, updated_at, banned_at, tokens_from)
    SELECT 'user-' || n, 'name-' || n, n || '@example.org', 'first', 'last', 'first last ' || n, 'last ' || n,
           pg_temp.ago(n * 10), pg_temp.ago(n), CASE WHEN n % 1000 = 0 THEN pg_temp.ago(n) END,
           CASE WHEN n % 1000 = 0 THEN pg_temp.ago(n) END
    FROM generate_series(0, 49999) AS n;
INSERT INTO devices SELECT 'user-' || n, 'device', 'web', '', pg_temp.ago(n) FROM generate_series(0, 49999) AS n;
INSERT INTO blocks SELECT 'user-' || n, 'user-' || n + 1, pg_temp.ago(n) FROM generate_series(0, 49999) AS n;
INSERT INTO sign_ins
    SELECT pg_temp.id(n), 'user-' || n, '', NULL, pg_temp.ago(n), pg_temp.ago(n), pg_temp.ago(-n * 10),
           CASE WHEN n % 1000 = 0 THEN pg_temp.ago(n) END, '', 'a browser'
    FROM generate_series(0, 49999) AS n;
INSERT INTO uploads SELECT pg_temp.id(n), pg_temp.id(n), 'user-' || n, 'a.png', 'image/png', n, NULL, NULL, FALSE, pg_temp.ago(n)
    FROM generate_series(0, 49999) AS n;
INSERT INTO user_rooms SELECT 'user-' || n, pg_temp.id(n), 2, 1, 1, 0 FROM generate_series(0, 49999) AS n;
INSERT INTO user_events (user_id, seq, kind, at, chat, chat_kind, change, chat_seq)
    SELECT 'user-' || n % 50000, n / 50000 + 1, 1, pg_temp.ago(150000 - n), pg_temp.id(n % 50000), 2, 1, 1
    FROM generate_series(0, 149999) AS n;
INSERT INTO notifications
    SELECT 'user-' || n % 50000, pg_temp.id(n), 'room.joined', 'New chat', 'somebody has a chat with you now', '{}', n % 20 > 0,
           pg_temp.ago(150000 - n)
    FROM generate_series(0, 149999) AS n;
INSERT INTO analytics_events (uuid, event_type, user_id, chat, data, session_id, created_at)
    SELECT pg_temp.id(n), 'page.opened', 'user-' || n % 50000, CASE WHEN n % 2 = 0 THEN pg_temp.id(n % 10000) END, '{}', 's', pg_temp.ago(150000 - n)
    FROM generate_series(0, 149999) AS n;

INSERT INTO chats
    SELECT pg_temp.id(n), 1 + n % 2, 0, '', '', 'user-' || n, CASE WHEN n % 2 = 0 THEN 'user-' || n END,
           CASE WHEN n % 2 = 0 THEN 'user-' || n + 1 END, FALSE, FALSE, pg_temp.ago(n * 10),
           CASE WHEN n % 100 = 0 THEN pg_temp.ago(-n) END, pg_temp.ago(n), FALSE, 1, 100, 0, 0, 1, 100, 1, 100, 1, pg_temp.ago(n * 10),
           pg_temp.id(n), 0, 0, pg_temp.id(0), 1, 0, 0, 0
    FROM generate_series(0, 49999) AS n;
INSERT INTO members (chat, user_id, state, seq, sent_no, joined_no, shelf, active_at, invited_by)
    SELECT pg_temp.id(n % 50000), 'user-' || (n + n / 50000) % 50000, CASE WHEN n % 10 = 0 THEN 1 ELSE 0 END, 1, 0, 0,
           CASE WHEN n % 50 = 0 THEN 2 ELSE 0 END, pg_temp.ago(n), CASE WHEN n % 10 = 0 THEN 'user-' || n % 1000 END
    FROM generate_series(0, 149999) AS n;
INSERT INTO read_marks
    SELECT 'user-' || (n + n / 50000) % 50000, pg_temp.id(n % 50000), 50, 50, CASE WHEN n % 2 = 0 THEN 50 END, CASE WHEN n % 2 = 0 THEN 50 END
    FROM generate_series(0, 149999) AS n;
INSERT INTO room_blocks SELECT pg_temp.id(n), 'user-' || n FROM generate_series(0, 49999) AS n;
INSERT INTO room_sources SELECT pg_temp.id(n), n % 256, n FROM generate_series(0, 49999) AS n;
INSERT INTO room_decisions SELECT pg_temp.id(n), '' FROM generate_series(0, 49999) AS n;
INSERT INTO room_windows SELECT pg_temp.id(n), 1, '' FROM generate_series(0, 49999) AS n;
INSERT INTO user_sources SELECT 'user-' || n, n % 256, n FROM generate_series(0, 49999) AS n;
INSERT INTO relay_outbox SELECT n % 256, n, 0, n % 256, '', NULL, NULL FROM generate_series(0, 49999) AS n;
INSERT INTO dead_letters SELECT n % 256, n, pg_temp.ago(n), 'unknown', '' FROM generate_series(0, 49999) AS n;

INSERT INTO messages (chat, seq, uuid, message_no, sender, client_message_id, body, message_type, status, metadata, created_at,
                      edited, deleted)
    SELECT pg_temp.id(n % 10000 * 5), n / 10000 + 1, pg_temp.id(n), n / 10000 + 1, 'user-' || n % 9973, 'client-' || n,
           'what somebody says to somebody else', 'text', 0, '', pg_temp.ago(1000000 - n), FALSE, FALSE
    FROM generate_series(0, 999999) AS n;
INSERT INTO room_events (chat, seq, kind, target)
    SELECT pg_temp.id(n % 10000 * 5), n / 10000 + 1, 2, CASE WHEN n % 50 = 0 THEN 1 END FROM generate_series(0, 999999) AS n;
INSERT INTO reactions SELECT pg_temp.id(n % 10000 * 5), n / 10000 + 1, '+', 'user-' || n FROM generate_series(0, 149999) AS n;
