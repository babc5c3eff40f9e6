-- Of a holder whose output is the list of its results: the most bytes that it may have, those of completed scopes and
-- those of failed ones so far. Null: it makes no list.
alter table workflow_held_scopes add column if not exists list_bytes double precision[];
