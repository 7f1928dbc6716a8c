-- Which of the application's own sessions an event belongs to. The views for people who query by SQL are PostgreSQL's alone
-- (docs/report.md).

ALTER TABLE analytics_events ADD COLUMN session_id TEXT;
