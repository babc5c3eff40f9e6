-- workflow_signal: a main server sends a signal to an execution inside its own transaction. A rollback undoes it.
--
-- Returns true; false when the execution has this signal_id already. A step that waits for the signal takes it after the
-- commit; otherwise it is kept. The schema of the wait is checked when its turn comes. Each error has a code of the API
-- in its detail. The rights are those of workflow_start.

create or replace function workflow_signal(execution uuid, signal text, payload jsonb default 'null', signal_id text default null, scope text default null)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp as $$
declare
  v_payload jsonb := coalesce(payload, 'null');
  v_hash text;
  v_inexact text;
  v_status text;
  v_stopping boolean;
  v_same boolean;
  v_kept integer;
  v_problem text;
begin
  if signal is null or length(signal) not between 1 and {{max_signal_length}} or signal ~ '[\u0001-\u001f\u007f]' then
    v_problem := 'signal must be a text of 1 to {{max_signal_length}} characters, none of them a control character';
  elsif signal_id is not null and (length(signal_id) not between 1 and {{max_signal_id_length}} or signal_id ~ '[\u0001-\u001f\u007f]') then
    v_problem := 'signal_id must be a text of 1 to {{max_signal_id_length}} characters, none of them a control character';
  end if;
  if v_problem is not null then
    raise exception 'workflow_signal: %', v_problem using errcode = '22023', detail = 'validation_failed';
  end if;
  if octet_length(v_payload::text) > {{max_output_bytes}} then
    raise exception 'workflow_signal: payload of % bytes is over the limit of % bytes', octet_length(v_payload::text), {{max_output_bytes}}
      using errcode = '54000', detail = 'not_storable';
  end if;
  if jsonb_path_exists(v_payload, 'strict $.**{{{max_output_depth}}} ? (@.type() == "object" || @.type() == "array")') then
    raise exception 'workflow_signal: payload is nested more than % levels deep', {{max_output_depth}}
      using errcode = '54000', detail = 'not_storable';
  end if;
  v_inexact := {{schema}}.execution_engine_inexact_number(v_payload);
  if v_inexact is not null then
    raise exception 'workflow_signal: number_not_exact: the number at /payload% would not keep its value: numbers are doubles, exact up to 2^53', v_inexact
      using errcode = '22003', detail = 'number_not_exact', hint = 'Write it as text, in quotes.';
  end if;
  v_payload := {{schema}}.execution_engine_as_doubles(v_payload);
  v_hash := md5(v_payload::text);

  select e.status, e.stop_requested_at is not null into v_status, v_stopping
    from {{schema}}.workflow_executions e
   where e.id = execution and e.removed_at is null;
  if v_status is null then
    raise exception 'workflow_signal: there is no execution %', execution using errcode = 'P0002', detail = 'execution_not_found';
  end if;
  -- What was sent before is answered as it was, also when the execution has ended since.
  if signal_id is not null then
    select s.name = signal and s.payload_hash = v_hash into v_same
      from {{schema}}.workflow_signals s
     where s.workflow_execution_id = execution and s.signal_id = workflow_signal.signal_id;
  end if;
  if v_same is null then
    if v_stopping or v_status in ('compensating', 'completed', 'failed', 'cancelled', 'timed_out') then
      raise exception 'workflow_signal: execution % is %; it takes no signals', execution, case when v_stopping then 'being stopped' else v_status end
        using errcode = '55000', detail = 'wrong_state';
    end if;
    select count(*) into v_kept
      from (select from {{schema}}.workflow_signals s
             where s.workflow_execution_id = execution and s.used_at is null limit {{max_kept_signals}}) k;
    -- Near the limit one caller at a time: others may have counted the same, and not committed yet.
    if v_kept >= {{max_kept_signals}} - 100 then
      perform from {{schema}}.workflow_executions e where e.id = execution for no key update;
      select count(*) into v_kept
        from (select from {{schema}}.workflow_signals s
               where s.workflow_execution_id = execution and s.used_at is null limit {{max_kept_signals}}) k;
    end if;
    if v_kept >= {{max_kept_signals}} then
      raise exception 'workflow_signal: execution % keeps % signals for which no step has waited yet', execution, {{max_kept_signals}}
        using errcode = '54000', detail = 'too_many_signals';
    end if;
    insert into {{schema}}.workflow_signals (workflow_execution_id, name, scope, signal_id, payload_hash, payload)
    values (execution, signal, scope, signal_id, v_hash, v_payload)
    on conflict do nothing;
    if not found then
      select s.name = signal and s.payload_hash = v_hash into v_same
        from {{schema}}.workflow_signals s
       where s.workflow_execution_id = execution and s.signal_id = workflow_signal.signal_id;
      if v_same is null then
        raise exception 'workflow_signal: signal_id "%" was used meanwhile by a transaction that this one does not see; run it again', signal_id
          using errcode = '40001', detail = 'conflict';
      end if;
    end if;
  end if;
  if v_same is not null then
    if not v_same then
      raise exception 'workflow_signal: signal_id "%" was used before with another signal or payload', signal_id
        using errcode = '23505', detail = 'idempotency_conflict';
    end if;
    return false;
  end if;

  -- A ticket of its own for each signal: whoever takes it looks at all that waits and all that is kept.
  insert into {{pgboss_schema}}.job (id, name, data, priority, keep_until, policy, retry_limit, expire_seconds)
  values
    (gen_random_uuid(), 'WorkflowExecutionQueue', jsonb_build_object('kind', 'signals', 'execution_id', execution), 1000000000,
     now() + interval '10 years', 'standard', 1000000, 60);
  perform pg_notify('execution_engine', 'ready');
  return true;
end
$$;
revoke all on function workflow_signal(uuid, text, jsonb, text, text) from public;
