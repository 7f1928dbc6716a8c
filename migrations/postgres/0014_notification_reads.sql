-- That notifications were read is a fact of their user: what is read up to an id stands in the user's row, and the event says it.

ALTER TABLE users ADD COLUMN notifications_read UUID;      -- all up to this one are read; null for none
ALTER TABLE user_events ADD COLUMN data TEXT;              -- of kind 5 (notifications read): what was read, JSON

CREATE OR REPLACE VIEW report.user_events AS
    SELECT e.user_id || ':' || e.seq AS id,
           e.user_id,
           CASE e.kind
               WHEN 1 THEN CASE e.change
                   WHEN 1 THEN 'room.joined' WHEN 2 THEN 'room.left' WHEN 3 THEN 'room.invited'
                   WHEN 4 THEN 'room.kicked' WHEN 5 THEN 'room.ended' WHEN 6 THEN 'room.reopened' END
               WHEN 2 THEN 'user.blocked'
               WHEN 3 THEN 'user.unblocked'
               WHEN 4 THEN 'preferences'
               WHEN 5 THEN 'notification.read'
           END AS event_type,
           e.chat AS room_id,
           jsonb_strip_nulls(jsonb_build_object(
               'kind', CASE e.chat_kind WHEN 1 THEN 'direct' WHEN 2 THEN 'group' WHEN 3 THEN 'broadcast' WHEN 4 THEN 'open' END,
               'room_seq', e.chat_seq,
               'by', e.actor,
               'user', e.subject,
               'up_to', report.as_jsonb(e.data) -> 'notifications_read' -> 'up_to',
               'ids', report.as_jsonb(e.data) -> 'notifications_read' -> 'ids'
           )) AS metadata,
           report.moment(e.at) AS created_at,
           e.seq
    FROM user_events AS e;

-- A row without a type holds the place of one that is read and not written yet.
CREATE OR REPLACE VIEW report.notifications AS
    SELECT n.uuid AS id, n.user_id, n.type, n.title, n.message,
           report.as_jsonb(n.data) AS data,
           n.is_read OR COALESCE(n.uuid <= (SELECT u.notifications_read FROM users AS u WHERE u.id = n.user_id), FALSE) AS is_read,
           report.moment(n.created_at) AS created_at
    FROM notifications AS n
    WHERE n.type <> '';
