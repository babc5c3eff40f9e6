-- Of a rate: the starts that count, as [end of their slice of time in ms of the epoch, how many]. Older engines count
-- by `window_ends_at` and `window_count`, which say until when and how many those are together.
alter table workflow_step_limits add column if not exists starts jsonb not null default '[]';
