-- A room list is read in its order, one page at a time; what is over stands on a list of its own; and a user's fold needs the
-- marks of the rooms that he still has, and no others.

-- shelf: 0 the room lives, 1 it is over, 2 it has too many members for a row of each to follow it: look into `chats`.
ALTER TABLE members ADD COLUMN shelf SMALLINT NOT NULL DEFAULT 2;
-- The room's last message or its making, where `shelf` is not 2.
ALTER TABLE members ADD COLUMN active_at BIGINT NOT NULL DEFAULT 0;
UPDATE members SET shelf = CASE WHEN w.status = 0 THEN 0 ELSE 1 END, active_at = w.at
    FROM (SELECT chats.uuid, chats.status, COALESCE(chats.last_message_at, chats.created_at) AS at
          FROM chats JOIN members AS m ON m.chat = chats.uuid GROUP BY chats.uuid HAVING COUNT(*) <= 64) AS w
    WHERE w.uuid = members.chat;
DROP INDEX members_user;
CREATE INDEX members_list ON members (user_id, shelf, active_at, chat) WHERE state < 2;

-- What the fold knows of a mark: null once it let go of it. What is shown (seq, message_no) stays and never goes back.
ALTER TABLE read_marks ADD COLUMN folded_seq BIGINT;
ALTER TABLE read_marks ADD COLUMN folded_no BIGINT;
UPDATE read_marks SET folded_seq = seq, folded_no = message_no;
CREATE INDEX read_marks_folded ON read_marks (user_id, chat) WHERE folded_seq IS NOT NULL;

-- Rooms that are overdue are paged through.
DROP INDEX chats_expiry;
CREATE INDEX chats_expiry ON chats (expires_at, uuid) WHERE expires_at IS NOT NULL AND status = 0;
