/**
 * Watches how executions end: what must never happen is written down by the transactions that do it, and what an end leaves
 * open is counted.
 */
import type { Db } from '../../../db/connection/client.ts';

/** What must never happen, written down by the transactions that do it. */
const WATCH = `
  create table test_forbidden (what text not null);
  create function note_step() returns trigger language plpgsql as $$
  begin
    if old.status in ('completed', 'failed', 'skipped', 'cancelled') and new.status <> old.status then
      insert into test_forbidden values (format('step %s: %s to %s', new.id, old.status, new.status));
    end if;
    if new.status = 'running' and old.status <> 'running' and exists (
      select 1 from workflow_executions where id = new.workflow_execution_id and completed_at is not null) then
      insert into test_forbidden values (format('step %s starts after the end', new.id));
    end if;
    return null;
  end $$;
  create trigger note after update on workflow_step_executions for each row execute function note_step();
  create function note_scope() returns trigger language plpgsql as $$
  begin
    insert into test_forbidden values (format('scope %s: %s to %s', new.path, old.status, new.status));
    return null;
  end $$;
  create trigger note after update on workflow_scopes for each row
    when (old.status <> 'running' and new.run = old.run) execute function note_scope()`;

/** From now on what must never happen is written down. */
export async function watchEnds(db: Db): Promise<void> {
  await db.query(WATCH);
}

/** Returns what must never happen and did. */
export async function forbidden(db: Db): Promise<string[]> {
  const { rows } = await db.query('select what from test_forbidden limit 20');
  return rows.map(({ what }) => what);
}

/** What executions that have ended left behind. */
export interface Leftovers {
  /** Open ones. */
  readonly scopes: number;
  readonly steps: number;
  /** Holders whose numbers are not those of their scopes' rows, with both: open, completed, failed, cancelled. */
  readonly numbers: readonly string[];
}

/** Returns what is left of executions and of their children. */
export async function leftoversOf(db: Db, ids: readonly string[]): Promise<Leftovers> {
  const { rows } = await db.query(
    `with mine as materialized (
       select id from workflow_executions where id = any($1::uuid[]) or root_execution_id = any($1::uuid[]))
     select (select count(*)::integer from workflow_scopes c join mine on mine.id = c.workflow_execution_id
              where c.status = 'running') as scopes,
            (select count(*)::integer from workflow_step_executions s join mine on mine.id = s.workflow_execution_id
              where s.completed_at is null) as steps,
            array(
             select format('%s of %s is %s: %s, and the rows say %s', s.id, e.id, s.status,
                           (h.open_count, h.completed_count, h.failed_count, h.cancelled_count),
                           (0, c.completed, c.failed, c.cancelled))
               from mine join workflow_executions e on e.id = mine.id join workflow_step_executions s on s.workflow_execution_id = mine.id
               join workflow_held_scopes h on h.step_execution_id = s.id
              cross join lateral (
                select count(*) filter (where c.status = 'completed') as completed,
                       count(*) filter (where c.status = 'failed') as failed,
                       count(*) filter (where c.status = 'cancelled') as cancelled
                  from workflow_scopes c where c.step_execution_id = s.id) c
              where exists (select 1 from workflow_scopes c where c.step_execution_id = s.id)
                and (h.open_count, h.completed_count, h.failed_count, h.cancelled_count)
                    <> (0, c.completed, c.failed, c.cancelled)) as numbers`,
    [ids],
  );
  return rows[0];
}
