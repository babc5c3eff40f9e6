-- Engines that hold an advisory lock for as long as they live say so: when it is free they are gone.
alter table execution_engines add column if not exists has_lease boolean not null default false;
