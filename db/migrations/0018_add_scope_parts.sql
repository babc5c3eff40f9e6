-- The scope in the template that a scope is a run of, for holders that have several, such as the tools of an agent.
alter table workflow_scopes add column if not exists part integer not null default 0;
-- By the index of the scope. Null: the first one.
alter table workflow_held_scopes add column if not exists parts integer[];
