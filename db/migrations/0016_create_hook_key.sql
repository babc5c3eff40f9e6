-- The key from which the URLs of webhook steps are derived, the same for all engines of this database.
create table if not exists workflow_hook_key (
  id smallint primary key check (id = 1),
  key text not null
);
insert into workflow_hook_key (id, key)
values (1, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''))
on conflict do nothing;
