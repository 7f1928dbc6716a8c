-- What is unread is found without the rest; what is old is swept.

CREATE INDEX notifications_unread ON notifications (user_id, uuid) WHERE is_read = 0;
CREATE INDEX analytics_events_age ON analytics_events (created_at);
