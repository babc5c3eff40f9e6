-- execution_engine_is_ipv6: whether a text is an IPv6 address. PostgreSQL before 16 tells it only by an error.

create or replace function execution_engine_is_ipv6(value text)
returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return family(value::inet) = 6;
exception
  when invalid_text_representation then
    return false;
end
$$;
