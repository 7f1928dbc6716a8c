-- What is unread is found without the rest; what is old is swept.

CREATE INDEX notifications_unread ON notifications (user_id, uuid) WHERE NOT is_read;
CREATE INDEX analytics_events_age ON analytics_events (created_at);
