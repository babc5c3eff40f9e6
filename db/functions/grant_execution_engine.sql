-- grant_execution_engine: lets a role start executions and send them signals in SQL, and nothing else. For the engine's own role
-- and for administrators.

create or replace function grant_execution_engine(role name)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  execute format('grant usage on schema %s to %I', $s${{schema}}$s$, role);
  execute format('grant execute on function %s.workflow_start(text, jsonb, jsonb) to %I', $s${{schema}}$s$, role);
  execute format('grant execute on function %s.workflow_signal(uuid, text, jsonb, text, text) to %I', $s${{schema}}$s$, role);
end
$$;
revoke all on function grant_execution_engine(name) from public;
