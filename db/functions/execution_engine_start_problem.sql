-- execution_engine_start_problem: the fault of the options of a start, as a sentence that begins with the option;
-- null: none. The rules are those of the API (api/execution/bodies.ts), and so are the bounds (core/start/).

create or replace function execution_engine_start_problem(options jsonb)
returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
  v_value jsonb;
  v_type text;
  v_text text;
  v_host text[];
begin
  if jsonb_typeof(options) <> 'object' then
    return format('options must be a JSON object, found %s', left(options::text, 100));
  end if;
  for v_name, v_value in select o.key, o.value from jsonb_each(options) o loop
    v_type := jsonb_typeof(v_value);
    v_text := v_value #>> '{}';
    if v_name in ('version', 'priority') then
      if v_type <> 'number' or v_text::numeric <> trunc(v_text::numeric)
         or v_name = 'version' and v_text::numeric not between 1 and {{max_version}}
         or v_name = 'priority' and abs(v_text::numeric) > {{max_priority}} then
        return format('%s must be a whole number from %s, found %s', v_name,
          case v_name when 'version' then '1 to {{max_version}}' else '-{{max_priority}} to {{max_priority}}' end, left(v_value::text, 100));
      end if;
    elsif v_name = 'idempotency_key' then
      if v_type <> 'string' or length(v_text) not between 1 and {{max_key_length}} or v_text ~ '[\u0001-\u001f\u007f]' then
        return 'idempotency_key must be a text of 1 to {{max_key_length}} characters, none of them a control character';
      end if;
    elsif v_name = 'start_after' then
      if {{schema}}.execution_engine_start_time(v_value, now()) is null then
        return format('start_after must be an ISO 8601 instant with a time zone, such as 2027-01-31T08:00:00Z, in the years 1 to 9999 UTC, or a duration such as 250ms, 30s, 5m, 2h or 1d, or a number of milliseconds, up to 3650d, found %s', left(v_value::text, 100));
      end if;
    elsif v_name = 'tags' then
      if v_type <> 'array' or jsonb_array_length(v_value) > {{max_tags}}
         or exists (select from jsonb_array_elements(v_value) t
                     where jsonb_typeof(t) <> 'string' or length(t #>> '{}') not between 1 and {{max_tag_length}}) then
        return 'tags must be an array of up to {{max_tags}} texts of 1 to {{max_tag_length}} characters';
      end if;
    elsif v_name = 'callback_url' then
      v_host := regexp_match(v_text, '{{callback_pattern}}', 'i');
      if v_type <> 'string' or length(v_text) > {{max_callback_length}} or v_host is null
         or v_host[1] is not null and not {{schema}}.execution_engine_is_ipv6(v_host[1])
         or v_host[2] <> '' and (length(ltrim(v_host[2], '0')) > 5 or v_host[2]::numeric not between 1 and 65535) then
        return 'callback_url must be an http or https URL with a host, of at most {{max_callback_length}} characters, without spaces, user name and password';
      end if;
    elsif v_name in ('user_id', 'workspace_id') then
      if v_type <> 'string' or v_text !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        return format('%s must be a UUID, found %s', v_name, left(v_value::text, 100));
      end if;
    else
      return format('%s is no option; known are version, idempotency_key, start_after, priority, tags, callback_url, user_id and workspace_id', left(v_name, 100));
    end if;
  end loop;
  return null;
end
$$;
