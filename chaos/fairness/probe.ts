/**
 * The starts that are measured: one at a time, from the start to the answer that the execution is completed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineClient } from '../../client/engine-client.ts';
import type { JsonObject } from '../../core/json/json.ts';

/** Templates by name: a step of the engine itself, and one that needs the sandbox. */
const PROBES = {
  noop: { type: 'noop' },
  expression: { type: 'transform', with: { value: '${{ [1, 2].map((x) => 2 * x) }}' } },
  script: { type: 'script', with: { code: 'return 1 + 1;' } },
} satisfies Record<string, JsonObject>;

export type ProbeName = keyof typeof PROBES;
export const PROBE_NAMES = Object.keys(PROBES) as ProbeName[];
/** Milliseconds of each start. */
export type Times = Record<ProbeName, number[]>;

const PAUSE_MS = 10;

export async function publishProbes(client: EngineClient): Promise<void> {
  for (const name of PROBE_NAMES)
    await client.publish(JSON.stringify({ name, steps: { only: PROBES[name] } }), 'application/json');
}

export async function measure(client: EngineClient, starts: number): Promise<Times> {
  const times: Times = { noop: [], expression: [], script: [] };
  for (let at = 0; at < starts; at += 1) {
    for (const template of PROBE_NAMES) {
      const begunAt = performance.now();
      const { execution_id: id } = await client.start({ template });
      let { status } = await client.status(id, { wait: '60s' });
      while (status === 'pending' || status === 'running')
        ({ status } = await client.status(id, { wait: '60s' }));
      times[template].push(performance.now() - begunAt);
      if (status !== 'completed') throw new Error(`A start of ${template} ended ${status}.`);
      await sleep(PAUSE_MS);
    }
  }
  return times;
}
