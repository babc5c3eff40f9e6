-- The turns of a conversation, such as that of an agent with a language model, each kept before the next one begins.
create table if not exists workflow_step_turns (
  step_execution_id uuid not null references workflow_step_executions (id) on delete cascade,
  attempt integer not null,
  turn integer not null,
  created_at timestamptz not null default now(),
  record jsonb not null,
  primary key (step_execution_id, attempt, turn)
);
