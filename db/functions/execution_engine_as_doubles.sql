-- execution_engine_as_doubles: the JSON value as the engine writes it after it has read it. It keeps numbers as doubles:
-- 0.10000000000000000555 is 0.1, 1e-400 is 0, 1.10 is 1.1. Inputs that are the same over HTTP are the same here.
--
-- For values without an inexact number (execution_engine_inexact_number): from 2^53 on a number keeps its value. jsonb
-- writes numbers out, without exponents, so most inputs are judged by one look at their text.

create or replace function execution_engine_as_doubles(value jsonb)
returns jsonb
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
set extra_float_digits = 1 as $$
begin
  if value::text !~ '[0-9.]{17}|\.[0-9]*0(?![0-9])' then
    return value;
  end if;
  return (
    select string_agg(
             case
               when part[1] !~ '^-?[0-9]' then part[1]
               when abs(part[1]::numeric) >= 9007199254740992 then trim_scale(part[1]::numeric)::text
               -- Half of the least double and less is 0; PostgreSQL would refuse it.
               when abs(part[1]::numeric) <= 2.4703282292062327208e-324 then '0'
               else part[1]::numeric::float8::text::numeric::text
             end, '' order by place)::jsonb
      -- Texts, numbers, and what is between them.
      from regexp_matches(value::text, '"(?:[^"\\]|\\.)*"|-?[0-9][0-9.]*|[^"0-9-]+', 'g') with ordinality t (part, place)
  );
end
$$;
