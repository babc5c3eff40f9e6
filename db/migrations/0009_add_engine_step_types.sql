-- The step types that an engine has. Null: an engine of a version that does not say, which counts as having them all.
alter table execution_engines add column if not exists step_types text[];
