-- workflow_start: a main server starts an execution inside its own transaction. Rolled back means never started.
--
-- template: a name; its latest version unless options name one.
-- options: version, idempotency_key, start_after (ISO 8601), priority, tags, callback_url, user_id, workspace_id.
-- The input schema is checked when the row is picked up.

create or replace function workflow_start(template text, inputs jsonb default '{}', options jsonb default '{}')
returns uuid
language plpgsql as $$
declare
  v_workspace uuid := (options ->> 'workspace_id')::uuid;
  v_key text := options ->> 'idempotency_key';
  v_after timestamptz := (options ->> 'start_after')::timestamptz;
  v_version integer := (options ->> 'version')::integer;
  v_template uuid;
  v_id uuid := execution_engine_uuidv7();
  v_inputs jsonb := coalesce(inputs, '{}');
  v_existing uuid;
  v_unknown text;
  v_same boolean;
  v_inexact text;
begin
  if octet_length(v_inputs::text) > {{max_input_bytes}} then
    raise exception 'workflow_start: inputs of % bytes are over the limit of % bytes', octet_length(v_inputs::text), {{max_input_bytes}}
      using errcode = '54000';
  end if;
  v_inexact := execution_engine_inexact_number(v_inputs);
  if v_inexact is not null then
    raise exception 'workflow_start: number_not_exact: the number at /inputs% would not keep its value: numbers are doubles, exact up to 2^53', v_inexact
      using errcode = '22003', hint = 'Write it as text, in quotes.';
  end if;

  if jsonb_typeof(coalesce(options, '{}')) <> 'object' then
    raise exception 'workflow_start: options must be a JSON object, found %', options using errcode = '22023';
  end if;
  select string_agg(key, ', ') into v_unknown
    from jsonb_object_keys(coalesce(options, '{}')) key
   where key not in ('version', 'idempotency_key', 'start_after', 'priority', 'tags', 'callback_url', 'user_id', 'workspace_id');
  if v_unknown is not null then
    raise exception 'workflow_start: unknown option %; known are version, idempotency_key, start_after, priority, tags, callback_url, user_id and workspace_id', v_unknown
      using errcode = '22023';
  end if;
  if jsonb_typeof(coalesce(options -> 'tags', '[]')) <> 'array' then
    raise exception 'workflow_start: tags must be an array of strings, found %', options -> 'tags' using errcode = '22023';
  end if;
  if abs(coalesce((options ->> 'priority')::integer, 0)) > 1000000 then
    raise exception 'workflow_start: priority % is outside -1000000 to 1000000', options ->> 'priority'
      using errcode = '22023';
  end if;

  if length(options ->> 'callback_url') > 2048 or options ->> 'callback_url' !~* '^https?://[^/?#@\s]+([/?#]\S*)?$' then
    raise exception 'workflow_start: callback_url is no http or https URL of at most 2048 characters without user name and password'
      using errcode = '22023';
  end if;

  select t.id into v_template
    from workflow_templates t
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
      using errcode = 'P0002';
  end if;

  insert into workflow_executions
    (id, workflow_template_id, status, inputs, user_id, workspace_id, priority, tags,
     idempotency_key, requested_version, callback_url, start_after)
  values
    (v_id, v_template, 'pending', v_inputs, (options ->> 'user_id')::uuid, v_workspace,
     coalesce((options ->> 'priority')::integer, 0),
     coalesce((select array_agg(tag) from jsonb_array_elements_text(options -> 'tags') tag), '{}'),
     v_key, v_version, options ->> 'callback_url', v_after)
  on conflict do nothing;

  if not found then
    select e.id, t.name = template and e.requested_version is not distinct from v_version and e.inputs = v_inputs
      into v_existing, v_same
      from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
     where e.idempotency_key = v_key and (e.workspace_id = v_workspace or (v_workspace is null and e.workspace_id is null));
    if not v_same then
      raise exception 'workflow_start: idempotency key "%" was used before with another template, version or inputs', v_key
        using errcode = '23505';
    end if;
    return v_existing;
  end if;

  -- A start that is put off needs a timer; any other is in line as soon as it is there.
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
