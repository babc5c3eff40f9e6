-- execution_engine_inexact_number: the JSON pointer of the first number that would not keep its value in the engine, or
-- null. The rule is that of core/json/exact-number.ts: from 2^53 on the shortest text of its double has the same value.
--
-- A number of up to 15 digits always keeps it. jsonb writes numbers out, without exponents, so most inputs are judged
-- by a look for 16 digits in their text. The place is looked for only for a refusal, and 32 levels deep: below that the
-- pointer is of the part that holds the number.

create or replace function execution_engine_inexact_number(value jsonb)
returns text
language plpgsql immutable strict parallel safe
set extra_float_digits = 1 as $$
declare
  v_found jsonb;
  v_node jsonb := value;
  v_name text;
  v_pointer text := '';
  v_depth integer := 0;
begin
  if value::text !~ '(^|[^.0-9])[1-9][0-9]{15}' then
    return null;
  end if;

  select n into v_found
    from jsonb_path_query(value, 'strict $.** ? (@.type() == "number" && (@ >= 9007199254740991.5 || @ <= -9007199254740991.5))') n
   cross join lateral (select length(trim('0' from translate(n::text, '-.', ''))) as digits,
                              round(n::numeric, 16 - length(trunc(abs(n::numeric))::text)) as short) d
   where case
           when abs(n::numeric) > 1.7976931348623157e308 then true
           when digits <= 15 then false
           -- Of two texts for a double JavaScript takes the shorter one, PostgreSQL not always: here one of 16 digits.
           when case when digits > 16 and abs(short) <= 1.7976931348623157e308
                     then short <> n::numeric and short::float8 = (n::numeric)::float8 end then true
           else n::numeric <> (n::numeric)::float8::text::numeric
                and digits >= length(trim('0' from translate((n::numeric)::float8::text::numeric::text, '-.', '')))
         end
   limit 1;
  if v_found is null then
    return null;
  end if;

  while jsonb_typeof(v_node) in ('object', 'array') and v_depth < 32 loop
    v_depth := v_depth + 1;
    select child.name, child.node into v_name, v_node
      from (
        select m.key as name, m.value as node
          from jsonb_each(case jsonb_typeof(v_node) when 'object' then v_node else '{}' end) m
        union all
        select (i.ordinality - 1)::text, i.value
          from jsonb_array_elements(case jsonb_typeof(v_node) when 'array' then v_node else '[]' end)
               with ordinality i
      ) child
     where jsonb_path_exists(child.node, 'strict $.** ? (@.type() == "number" && @ == $n)', jsonb_build_object('n', v_found))
     limit 1;
    v_pointer := v_pointer || '/' || replace(replace(v_name, '~', '~0'), '/', '~1');
  end loop;
  return v_pointer;
end
$$;
