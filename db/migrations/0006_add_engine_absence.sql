-- Since when an engine has been heard without a gap, and from when on it judges engines that were not heard since:
-- by a silence that it shared with them it judges nobody.
alter table execution_engines add column if not exists heard_since timestamptz not null default now();
alter table execution_engines add column if not exists settled_at timestamptz not null default now();
