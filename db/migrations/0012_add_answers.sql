-- The answer of the outside that ended the step's last wait: whoever sent it and got no reply finds it here.
alter table workflow_step_executions add column if not exists answer_id uuid;
