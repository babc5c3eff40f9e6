/**
 * `npm run fairness`: floods one workspace of an engine, in one way after the other, and measures how long starts of
 * another workspace take meanwhile.
 *
 * Ends with 0 when each p99 is within the given times its idle value, with 1 otherwise.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineClient } from '../../client/engine-client.ts';
import { durationsOf } from '../figures/durations.ts';
import { endOnSignals } from '../stage/signals.ts';
import { FLOODS, type Flood, type FloodName } from './floods.ts';
import { parseFairnessOptions } from './options.ts';
import { measure, PROBE_NAMES, publishProbes, type Times } from './probe.ts';
import { type FairnessStage, type FloodedEngine, setFairnessStage } from './stage.ts';

const options = parseFairnessOptions(process.argv.slice(2));
/** Until a flood is as high as it gets. */
const RISE_MS = 2_000;
const LOOK_MS = 100;
const WARM_UP = 20;
const MAX_BATCH = 500;

interface Measured {
  readonly flood: FloodName;
  readonly idle: Times;
  readonly flooded: Times;
}

const setting = setFairnessStage();
endOnSignals(async () => (await setting).close());
const stage = await setting;
let isFair = false;
try {
  const all: Measured[] = [];
  for (const name of options.floods) all.push(await measureUnder(stage, name));
  isFair = tell(all);
} catch (error) {
  console.error(error);
} finally {
  await stage.close();
}
process.exit(isFair ? 0 : 1);

/** With an engine and a database of the flood's own: what one leaves behind does not meet the next. */
async function measureUnder(stage: FairnessStage, flood: FloodName): Promise<Measured> {
  const engine = await stage.open(flood);
  try {
    await publishProbes(engine.other);
    await measure(engine.other, WARM_UP);
    const idle = await measure(engine.other, options.starts);
    const recede = await begin(engine, FLOODS[flood], stage.silentUrl);
    await sleep(RISE_MS);
    const flooded = await measure(engine.other, options.starts);
    await recede();
    console.log(`${flood}: measured`);
    return { flood, idle, flooded };
  } finally {
    await engine.close();
  }
}

/** Returns what ends the flood; it throws when the flood was over too soon. */
async function begin(
  { busy, admin }: FloodedEngine,
  flood: Flood,
  url: string,
): Promise<() => Promise<void>> {
  const template = 'flood';
  await busy.publish(JSON.stringify({ name: template, ...flood.definition }), 'application/json');
  await startAll(busy, flood, url);
  let isEnding = false;
  const isOver = async () => {
    const { rows } = await admin.query(
      `select not exists (select 1 from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
                           where t.name = $1 and e.completed_at is null) as over`,
      [template],
    );
    return rows[0].over as boolean;
  };
  async function repeat(): Promise<void> {
    for (; flood.isRepeated && !isEnding; await sleep(LOOK_MS))
      if (await isOver()) await startAll(busy, flood, url);
  }
  const repeating = repeat();
  return async () => {
    isEnding = true;
    await repeating;
    if (!flood.isRepeated && !flood.endsEarly && (await isOver()))
      throw new Error('The flood was over before the measurement: ask for fewer --starts.');
  };
}

async function startAll(client: EngineClient, flood: Flood, url: string): Promise<void> {
  const items = Array.from({ length: flood.starts }, (_, at) => ({
    template: 'flood',
    ...flood.item?.({ url }, at),
  }));
  for (let at = 0; at < items.length; at += MAX_BATCH)
    await client.startMany(items.slice(at, at + MAX_BATCH));
}

/** Prints the figures. Returns whether they are fair. */
function tell(all: readonly Measured[]): boolean {
  let worst = 0;
  console.log('\n| flood | start of | idle p50 | idle p99 | p50 (ms) | p99 (ms) | of idle p99 |');
  console.log('|---|---|---:|---:|---:|---:|---:|');
  for (const { flood, idle, flooded } of all) {
    for (const probe of PROBE_NAMES) {
      const [calm, busy] = [durationsOf(idle[probe])!, durationsOf(flooded[probe])!];
      const times = busy.p99 / calm.p99;
      worst = Math.max(worst, times);
      const cells = [flood, probe, calm.p50, calm.p99, busy.p50, busy.p99, times.toFixed(1)];
      console.log(`| ${cells.join(' | ')} |`);
    }
  }
  console.log(`\nThe worst p99 is ${worst.toFixed(1)} times its idle value; ${options.most} times are fair.`);
  return worst <= options.most;
}
