-- execution_engine_start_time: the time of `start_after`, or null when it has an unknown form. The forms are those of
-- the API: an instant in ISO 8601 with a zone (core/time/instant.ts), a duration, or milliseconds as a number
-- (core/time/duration.ts). The session's time zone and date style have no effect.

create or replace function execution_engine_start_time(value jsonb, present timestamptz)
returns timestamptz
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
declare
  v_text text := value #>> '{}';
  v_ms numeric;
  v_part text[];
  v_instant timestamp;
begin
  if jsonb_typeof(value) = 'number' then
    v_ms := v_text::numeric;
  elsif jsonb_typeof(value) <> 'string' then
    return null;
  elsif v_text ~ '^[0-9]{1,30}(ms|s|m|h|d)$' then
    v_ms := substring(v_text from '^[0-9]+')::numeric
            * case substring(v_text from '[a-z]+$') when 'ms' then 1 when 's' then 1000 when 'm' then 60000
                   when 'h' then 3600000 else 86400000 end;
  end if;
  if v_ms is not null then
    return case when v_ms between 0 and {{max_delay_ms}} and v_ms = trunc(v_ms)
                then present + v_ms::float8 * interval '1 millisecond' end;
  end if;

  v_part := regexp_match(v_text,
    '^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:(Z)|([+-])(\d\d):(\d\d))$');
  if v_part is null or v_part[1] = '0000' or v_part[2] not between '01' and '12' or v_part[3] not between '01' and '31'
     or v_part[4] > '23' or v_part[5] > '59' or coalesce(v_part[6], '00') > '59'
     or coalesce(v_part[10], '00') > '23' or coalesce(v_part[11], '00') > '59' then
    return null;
  end if;
  -- A day that the month does not have is one of the next month.
  if extract(month from make_date(v_part[1]::integer, v_part[2]::integer, 1) + (v_part[3]::integer - 1)) <> v_part[2]::integer then
    return null;
  end if;
  v_instant := make_date(v_part[1]::integer, v_part[2]::integer, v_part[3]::integer)
               + make_time(v_part[4]::integer, v_part[5]::integer, coalesce(v_part[6], '0')::float8)
               + (rpad(left(coalesce(v_part[7], '0'), 3), 3, '0') || ' milliseconds')::interval
               - coalesce(v_part[9] || '1', '1')::integer
                 * make_interval(hours => coalesce(v_part[10], '0')::integer, mins => coalesce(v_part[11], '0')::integer);
  if v_instant < '0001-01-01' or v_instant >= '10000-01-01' then
    return null;
  end if;
  return v_instant at time zone 'UTC';
end
$$;
