-- The transitions of a scope before it was opened anew: its sequence begins at 1 again then, and events are counted on.
alter table workflow_scopes add column if not exists first_sequence bigint not null default 0;
