-- workflow_start: a main server starts an execution inside its own transaction. A rollback undoes the start.
--
-- template: a name; its latest version unless options name one.
-- options: version, idempotency_key, start_after, priority, tags, callback_url, user_id, workspace_id.
-- The input schema is checked when the row is picked up. Each error has a code of the API in its detail.
--
-- It runs with the rights of the engine, so that its callers need only the right to call it (see
-- grant_execution_engine). It ignores the caller's search path: objects in another schema cannot replace the engine's.

create or replace function workflow_start(template text, inputs jsonb default '{}', options jsonb default '{}')
returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp as $$
declare
  v_options jsonb := coalesce(options, '{}');
  v_inputs jsonb := case when inputs is null or inputs = 'null' then '{}' else inputs end;
  v_id uuid := {{schema}}.execution_engine_uuidv7();
  v_problem text := {{schema}}.execution_engine_start_problem(v_options);
  v_inexact text;
  v_workspace uuid;
  v_key text;
  v_version integer;
  v_after timestamptz;
  v_template uuid;
  v_existing uuid;
  v_same boolean;
begin
  if template is null or template !~ '{{template_pattern}}' then
    v_problem := 'template must be a name of 1 to 128 letters, digits, dots, underscores or hyphens that starts with a letter or digit';
  end if;
  if v_problem is not null then
    raise exception 'workflow_start: %', v_problem using errcode = '22023', detail = 'validation_failed';
  end if;
  if octet_length(v_inputs::text) > {{max_input_bytes}} then
    raise exception 'workflow_start: inputs of % bytes are over the limit of % bytes', octet_length(v_inputs::text), {{max_input_bytes}}
      using errcode = '54000', detail = 'body_too_large';
  end if;
  -- Over HTTP the inputs are nested one level deep in the body.
  if jsonb_path_exists(v_inputs, 'strict $.**{{{max_inputs_depth}}} ? (@.type() == "object" || @.type() == "array")') then
    raise exception 'workflow_start: inputs are nested more than % levels deep', {{max_inputs_depth}}
      using errcode = '54000', detail = 'not_storable';
  end if;
  v_inexact := {{schema}}.execution_engine_inexact_number(v_inputs);
  if v_inexact is not null then
    raise exception 'workflow_start: number_not_exact: the number at /inputs% would not keep its value: numbers are doubles, exact up to 2^53', v_inexact
      using errcode = '22003', detail = 'number_not_exact', hint = 'Write it as text, in quotes.';
  end if;
  v_inputs := {{schema}}.execution_engine_as_doubles(v_inputs);

  v_workspace := v_options ->> 'workspace_id';
  v_key := v_options ->> 'idempotency_key';
  v_version := (v_options ->> 'version')::numeric;
  v_after := {{schema}}.execution_engine_start_time(v_options -> 'start_after', clock_timestamp());

  select t.id into v_template
    from {{schema}}.workflow_templates t
   where t.name = template
     and (t.workspace_id = v_workspace or (v_workspace is null and t.workspace_id is null))
     and t.definition_source is not null
     and t.archived_at is null
     and (v_version is null or t.version = v_version)
   order by t.version desc
   limit 1;
  if v_template is null then
    raise exception 'workflow_start: no template named "%" %is published in this workspace',
      template, coalesce('with version ' || v_version || ' ', '')
      using errcode = 'P0002', detail = 'template_not_found';
  end if;

  insert into {{schema}}.workflow_executions
    (id, workflow_template_id, status, inputs, user_id, workspace_id, priority, tags,
     idempotency_key, requested_version, callback_url, start_after)
  values
    (v_id, v_template, 'pending', v_inputs, (v_options ->> 'user_id')::uuid, v_workspace,
     coalesce((v_options ->> 'priority')::numeric, 0),
     coalesce((select array_agg(tag) from jsonb_array_elements_text(v_options -> 'tags') tag), '{}'),
     v_key, v_version, v_options ->> 'callback_url', v_after)
  on conflict do nothing;

  if not found then
    select e.id, t.name = template and e.requested_version is not distinct from v_version and e.inputs = v_inputs
      into v_existing, v_same
      from {{schema}}.workflow_executions e join {{schema}}.workflow_templates t on t.id = e.workflow_template_id
     where e.idempotency_key = v_key and (e.workspace_id = v_workspace or (v_workspace is null and e.workspace_id is null));
    if v_existing is null then
      raise exception 'workflow_start: idempotency key "%" was used meanwhile by a transaction that this one does not see; run it again', v_key
        using errcode = '40001', detail = 'conflict';
    end if;
    if not v_same then
      raise exception 'workflow_start: idempotency key "%" was used before with another template, version or inputs', v_key
        using errcode = '23505', detail = 'idempotency_conflict';
    end if;
    return v_existing;
  end if;

  -- A delayed start needs a timer; any other execution is pending from its insert on.
  if v_after is not null then
    insert into {{pgboss_schema}}.job (id, name, data, priority, start_after, keep_until, policy, retry_limit, expire_seconds)
    values
      (v_id, 'WorkflowExecutionQueue', jsonb_build_object('kind', 'start', 'execution_id', v_id), 1000000000,
       v_after, now() + interval '10 years', 'standard', 1000000, 60);
  end if;
  perform pg_notify('execution_engine', 'ready');
  return v_id;
end
$$;
revoke all on function workflow_start(text, jsonb, jsonb) from public;
