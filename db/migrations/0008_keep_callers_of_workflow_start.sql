-- workflow_start no longer asks its caller for rights on tables, and only roles that were given it may call it. Those
-- that could start executions before go on: they had the right to insert them.
do $$
declare
  caller record;
begin
  if to_regprocedure('workflow_start(text, jsonb, jsonb)') is null then
    return;
  end if;
  for caller in
    select distinct quote_ident(pg_get_userbyid(a.grantee)) as name
      from pg_class c cross join lateral aclexplode(c.relacl) a
     where c.oid = 'workflow_executions'::regclass and a.privilege_type = 'INSERT' and a.grantee not in (0, c.relowner)
  loop
    execute format('grant execute on function workflow_start(text, jsonb, jsonb) to %s', caller.name);
  end loop;
end
$$;
