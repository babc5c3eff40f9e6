import { beforeEach, describe, expect, test } from 'bun:test';
import { compileGraph } from '../core/graph.ts';
import type { Json } from '../core/json/json.ts';
import type { StepState } from '../core/view.ts';
import { emptyView } from '../core/view.ts';
import type { Db } from '../db/connection/client.ts';
import { Actors } from '../door/actors.ts';
import { fanOut } from '../tests/support/core/graphs.ts';
import { JsonPayload } from './json-payload.ts';
import { INPUT, KeptPayloads } from './kept-payloads.ts';
import { PayloadReader, type Payloads } from './payload-reader.ts';
import type { PayloadOwner } from './readable-execution.ts';

const GRAPH = compileGraph(fanOut(6));
const LIMITS = { maxOutputBytes: 100, maxInputsBytes: 250 };

/** Outputs as they are in the database, by slot, and the statements that were asked for them. */
let stored: Map<number, string>;
let asked: string[];
/** Happens while a statement is on its way. */
let meanwhile: () => void;
let actor: PayloadOwner;
let reader: PayloadReader;

const db = {
  query: async ({ name, values }: { name: string; values: string[] }) => {
    asked.push(name);
    meanwhile();
    const ids = values[0]!.replace(/[{}"]/g, '').split(',');
    if (name === 'read_inputs') return { rows: [{ id: 'e', inputs: stored.get(INPUT) }] };
    const found = [...stored].filter(([slot]) => ids.includes(`step-${slot}`));
    if (name === 'sum_step_payload_bytes')
      return { rows: [{ bytes: String(found.reduce((sum, [, json]) => sum + json.length, 0)) }] };
    return {
      rows: found.map(([slot, output]) => ({ id: `step-${slot}`, output, error_code: null })),
    };
  },
} as unknown as Db;

/** Somebody else needs the room. */
const letAllGo = () => actor.kept.set(99, new JsonPayload(text(65 * 1024 * 1024)));

beforeEach(() => {
  stored = new Map();
  asked = [];
  meanwhile = () => {};
  const { executionId: id, kept, errors } = new Actors().get('e');
  actor = { id, kept, errors };
  reader = new PayloadReader(db, LIMITS);
});

function read(slots: readonly number[], input = false, values = true) {
  const view = emptyView('e', GRAPH);
  for (const slot of slots) view.steps[slot] = { id: `step-${slot}`, status: 'completed' } as StepState;
  return reader.read(actor, view, { input, slots, values });
}

const text = (length: number) => JSON.stringify('x'.repeat(length - 2));
const TOO_LARGE = { code: 'inputs_too_large', details: { bytes: 300, limit: 250 } };

test('what is in memory is there at once', () => {
  actor.kept.set(0, new JsonPayload('1'));
  expect(read([0])).toMatchObject({ outputs: new Map([[0, { json: '1' }]]) });
  expect(asked).toEqual([]);
});

test('what is forgotten while something else is read was found', async () => {
  actor.kept.set(0, new JsonPayload('"in memory"'));
  stored.set(1, '"stored"');
  meanwhile = () => letAllGo();
  const { outputs } = await read([0, 1]);
  const found: Record<number, Json> = Object.fromEntries([...outputs].map(([at, { value }]) => [at, value]));
  expect(found).toEqual({ 0: 'in memory', 1: 'stored' });
});

test('what many read at once is read once, and held once while anybody holds it', async () => {
  stored.set(0, '"a"').set(1, '"b"');
  const all = await Promise.all([read([0]), read([0, 1]), read([1])]);
  expect(asked).toEqual(['read_step_payloads', 'read_step_payloads']);
  expect(all.map(({ outputs }) => [...outputs.keys()])).toEqual([[0], [0, 1], [1]]);
  letAllGo();
  const again = await read([0, 1]);
  expect(asked).toHaveLength(2);
  expect(again.outputs.get(0)).toBe(all[1].outputs.get(0)!);
});

test('the input of an execution is read once as well, and let go with the outputs', async () => {
  stored.set(INPUT, '{"n":7}').set(0, '"a"');
  const [one, two] = await Promise.all([read([0], true), read([], true)]);
  expect(asked).toEqual(['read_inputs', 'read_step_payloads']);
  expect([one, two].map(({ input }) => input?.value)).toEqual([{ n: 7 }, { n: 7 }]);
  expect(one.outputs.get(0)?.value).toBe('a');
  expect((await read([0])).input).toBeNull();
});

test('what is large is parsed beforehand, in slices and once; what is small on its first use', async () => {
  reader = new PayloadReader(db, { maxOutputBytes: 2 ** 20, maxInputsBytes: 2 ** 25 });
  const large = `[${'{},'.repeat(100_000)}{}]`;
  actor.kept.set(0, new JsonPayload(large));
  actor.kept.set(1, new JsonPayload('1'));
  const reading = read([0, 1]);
  const other = read([0]);
  expect(reading).toBeInstanceOf(Promise);
  const { outputs } = await reading;
  expect([outputs.get(0)!.unparsed, (await other).outputs.get(0)!.unparsed]).toEqual([0, 0]);
  expect(outputs.get(0)!.value).toHaveLength(100_001);
});

test('what is asked for as text is not parsed', () => {
  reader = new PayloadReader(db, { maxOutputBytes: 2 ** 20, maxInputsBytes: 2 ** 25 });
  const large = `[${'{},'.repeat(100_000)}{}]`;
  actor.kept.set(0, new JsonPayload(large));
  const { outputs } = read([0], false, false) as Payloads;
  expect(outputs.get(0)!.unparsed).toBe(large.length);
});

test('what runs gets its room from executions that wait', () => {
  const table = new Actors();
  const waiting = table.get('waiting');
  waiting.kept.set(0, new JsonPayload(text(60 * 1024 * 1024)));
  const running = table.get('running');
  running.runningCount = 1;
  for (const slot of [0, 1]) running.kept.set(slot, new JsonPayload(text(10 * 1024 * 1024)));
  waiting.runningCount = 1;
  // Room for 64: 20 are taken, so that 40 more go in and stay only when the 60 are gone.
  waiting.kept.set(1, new JsonPayload(text(40 * 1024 * 1024)));
  expect(table.keptLength).toBe(60 * 1024 * 1024);
});

describe('more bytes than are allowed', () => {
  test('are refused before any of them is read', async () => {
    const all = [0, 1, 2, 3, 4, 5];
    for (const slot of all) stored.set(slot, text(100));
    const both = await Promise.allSettled([read(all), read(all)]);
    for (const each of both) expect(each).toMatchObject({ status: 'rejected', reason: TOO_LARGE });
    expect(asked).toEqual(['sum_step_payload_bytes']);
  });

  test('are refused wherever they are', async () => {
    actor.kept.set(0, new JsonPayload(text(100)));
    actor.kept.set(1, new JsonPayload(text(100)));
    for (const slot of [2, 3]) stored.set(slot, text(100));
    await expect(read([0, 1, 2, 3])).rejects.toMatchObject(TOO_LARGE);
  });

  test('are refused in memory', () => {
    for (const slot of [0, 1, 2]) actor.kept.set(slot, new JsonPayload(text(100)));
    expect(() => read([0, 1, 2])).toThrow(expect.objectContaining(TOO_LARGE));
  });

  test('are not looked for when there cannot be as many', async () => {
    for (const slot of [0, 1]) stored.set(slot, text(100));
    expect((await read([0, 1])).outputs.size).toBe(2);
    expect(asked).toEqual(['read_step_payloads']);
  });
});

test('what all executions keep together is bounded', () => {
  const total = { length: 0, most: 1_000, makeRoom: () => {} };
  const executions = Array.from({ length: 10 }, () => new KeptPayloads(total));
  for (const outputs of executions)
    for (let slot = 0; slot < 10; slot += 1) {
      outputs.set(slot, new JsonPayload(text(90)));
      expect(total.length).toBeLessThanOrEqual(1_000);
    }
  for (const outputs of executions) outputs.end();
  expect(total.length).toBe(0);
  // A reading that comes after the end counts for nobody.
  executions[0]!.set(0, new JsonPayload(text(90)));
  expect(total.length).toBe(0);
});
