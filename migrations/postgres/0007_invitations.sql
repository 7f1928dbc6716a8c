-- Whose invitations are not answered yet: they are bounded, and taken back together.

ALTER TABLE members ADD COLUMN invited_by TEXT COLLATE "C";    -- where state is 1: who invited
UPDATE members SET invited_by = (SELECT actor FROM room_events AS e WHERE e.chat = members.chat AND e.seq = members.seq)
    WHERE state = 1;
-- With the state in it, though that is 1 everywhere: SQLite counts by an index alone only if all that it compares is there.
CREATE INDEX members_invited_by ON members (invited_by, chat, user_id, state) WHERE state = 1;
