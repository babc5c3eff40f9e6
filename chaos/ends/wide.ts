/**
 * Cancels of executions of which many items, or children, run: how long it takes until all of it is final.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { JsonObject } from '../../core/json/json.ts';
import { leftoversOf } from '../../tests/support/faults/scope-ends.ts';
import { HELD, runningOf, wideOnes } from './definitions.ts';
import type { EndsOptions } from './options.ts';
import type { EndsStage } from './stage.ts';

const LOOK_MS = 20;

export interface WideEnd {
  readonly name: string;
  readonly running: number;
  /** From the request to the answer, and until everything is final. */
  readonly answeredMs: number;
  readonly finalMs: number;
}

export async function cancelWideOnes(options: EndsOptions, stage: EndsStage): Promise<WideEnd[]> {
  await stage.engines[0].publish(JSON.stringify(HELD), 'application/json');
  const ends: WideEnd[] = [];
  for (const definition of wideOnes(options.open)) ends.push(await cancelOne(definition, options, stage));
  return ends;
}

async function cancelOne(
  definition: JsonObject,
  { open }: EndsOptions,
  { admin, engines: [one, two] }: EndsStage,
): Promise<WideEnd> {
  const name = String(definition.name);
  await one.publish(JSON.stringify(definition), 'application/json');
  const { execution_id: id } = await one.start({ template: name });
  const running = runningOf(definition, open);
  for (let count = 0; count < running; await delay(LOOK_MS)) {
    const { rows } = await admin.query(
      `select count(*)::integer as count from workflow_step_executions s
         join workflow_executions e on e.id = s.workflow_execution_id
        where (e.id = $1 or e.root_execution_id = $1) and s.status = 'running'`,
      [id],
    );
    count = rows[0].count;
  }
  const begun = performance.now();
  await two.cancel(id);
  const answeredMs = performance.now() - begun;
  for (;;) {
    const { rows } = await admin.query(
      `select not exists (select 1 from workflow_executions
                           where (id = $1 or root_execution_id = $1) and completed_at is null) as over`,
      [id],
    );
    const left = await leftoversOf(admin, [id]);
    if (rows[0].over && left.scopes + left.steps === 0) break;
    await delay(LOOK_MS);
  }
  return { name, running, answeredMs, finalMs: performance.now() - begun };
}
