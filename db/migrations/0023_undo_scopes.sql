-- Scopes are undone before their execution, which failed, timed out or was stopped, becomes final: a scope that is over
-- becomes compensating, and then what it was before.
alter table workflow_scopes drop constraint if exists workflow_scopes_status_known;
alter table workflow_scopes add constraint workflow_scopes_status_known check
  (status in ('running', 'compensating', 'completed', 'failed', 'cancelled')) not valid;
-- The status that a compensating scope had before.
alter table workflow_scopes add column if not exists due_status text;
-- How far a holder's scopes are undone: those below undo_next are still to be undone. Null: nobody has begun to.
alter table workflow_held_scopes add column if not exists undo_next integer;
alter table workflow_held_scopes add column if not exists undo_open integer;
-- What is being undone is found by an index that holds nothing else.
create index if not exists workflow_scopes_compensating on workflow_scopes (step_execution_id, index) where status = 'compensating';
