-- Forms that wait for people: the inbox, and when to remind. A row is left for a while after its form is over.
create table if not exists workflow_forms (
  step_execution_id uuid primary key references workflow_step_executions (id) on delete cascade,
  remind_at timestamptz
);
create index if not exists workflow_forms_remind_at on workflow_forms (remind_at) where remind_at is not null;
