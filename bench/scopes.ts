/**
 * `npm run bench:scopes`: the cost of an item of a foreach beside that of a step of a chain, in one run, and how items run on
 * several engines.
 *
 * On a durable server. Each round runs chains of 10, a foreach of many items, one of ten times as many, and children of 10
 * steps, in turn, on one engine; then one and two engines on one foreach. Medians are printed with their spread, by the clock
 * and in processor time of engines and server, which says more where others use the machine.
 *
 * BENCH_SCOPES_ITEMS (10,000), BENCH_SCOPES_ROUNDS (3), BENCH_SCOPES_CONCURRENCY (100), BENCH_SCOPES_CHILDREN (1,000),
 * BENCH_SCOPES_SLEEPERS (2,000: items that sleep 50 ms, with 20 at a time on each engine).
 */
import { markdownTable, show, showSpread, spread } from './report/statistics.ts';
import { MemoryWatch } from './resident-memory.ts';
import { callers, listed, noops, parents, sleepers } from './scopes/definitions.ts';
import { type Cost, costOf, countingPeer, type Engines, startEach, withEngines } from './scopes/stage.ts';
import { numberSetting } from './settings.ts';
import { publishOver, startManyOver } from './subject/engine-client.ts';
import { startBenchServer, stopOnSignal } from './subject/server.ts';
import { chain } from './workloads.ts';

const items = numberSetting('BENCH_SCOPES_ITEMS', 10_000);
const rounds = numberSetting('BENCH_SCOPES_ROUNDS', 3);
const concurrency = numberSetting('BENCH_SCOPES_CONCURRENCY', 100);
const children = numberSetting('BENCH_SCOPES_CHILDREN', 1_000);
const sleeping = numberSetting('BENCH_SCOPES_SLEEPERS', 2_000);
const CHAINS = 1_000;
const TIMES_MORE = 10;
const SLEEPERS_AT_A_TIME = 20;
const CALLS = 1_000;
const CALLS_AT_A_TIME = 30;
const CALL_MS = 10;

const server = await startBenchServer();
stopOnSignal(server.stop);
/** Of each step or item, by what was run. */
const costs = new Map<string, Cost[]>();
const names = {
  step: 'step of a chain',
  few: `item of ${items}`,
  many: `item of ${items * TIMES_MORE}`,
  child: `step of ${children} children`,
  one: 'item, one engine',
  two: 'item, two engines',
  sleepOne: 'item of 50 ms, one engine',
  sleepTwo: 'item of 50 ms, two engines',
};
let highestMb = 0;
const outside: string[] = [];

try {
  await withEngines(server, { name: 'one', engines: 1, concurrency: null }, oneEngine);
  for (let round = 0; round < rounds; round += 1) {
    for (const engines of round % 2 === 0 ? [1, 2] : [2, 1]) await severalEngines(engines, round);
  }
  await withEngines(server, { name: 'outside', engines: 2, concurrency: null }, lookFromOutside);
} finally {
  await server.stop();
}
report();
process.exit(0);

async function oneEngine(engines: Engines): Promise<void> {
  const [url] = engines.urls as [string];
  const watch = new MemoryWatch(engines.processes[0]!.pid);
  const chains = await publishOver(url, chain);
  const each = await publishOver(url, noops(concurrency));
  const parent = await publishOver(url, parents(concurrency));
  const startChains = () => startManyOver([url], chains, chain, CHAINS);
  await costOf(engines, server, startChains);
  await costOf(engines, server, () => startEach(engines, each, items));
  for (let round = 0; round < rounds; round += 1) {
    await measure(names.step, CHAINS * chain.stepCount, engines, startChains);
    await measure(names.few, items, engines, () => startEach(engines, each, items));
    await measure(names.many, items * TIMES_MORE, engines, () =>
      startEach(engines, each, items * TIMES_MORE),
    );
    const steps = children * chain.stepCount;
    await measure(names.child, steps, engines, () => startEach(engines, parent, children));
  }
  watch.stop();
  highestMb = Math.max(...watch.samples.map(({ mb }) => mb));
}

async function severalEngines(engines: number, round: number): Promise<void> {
  const isOne = engines === 1;
  await withEngines(
    server,
    { name: `cheap-${engines}-${round}`, engines, concurrency: null },
    async (all) => {
      const each = await publishOver(all.urls[0]!, noops(concurrency));
      await costOf(all, server, () => startEach(all, each, items));
      await measure(isOne ? names.one : names.two, items, all, () => startEach(all, each, items));
    },
  );
  const setup = { name: `sleep-${engines}-${round}`, engines, concurrency: SLEEPERS_AT_A_TIME };
  await withEngines(server, setup, async (all) => {
    const each = await publishOver(all.urls[0]!, sleepers(concurrency));
    await costOf(all, server, () => startEach(all, each, concurrency));
    await measure(isOne ? names.sleepOne : names.sleepTwo, sleeping, all, () =>
      startEach(all, each, sleeping),
    );
  });
}

/** How many items run at a time, as their peer counts it, and in which order the results are. */
async function lookFromOutside(engines: Engines): Promise<void> {
  const [url] = engines.urls as [string];
  const peer = await countingPeer(CALL_MS);
  try {
    const calling = await publishOver(url, callers(CALLS_AT_A_TIME, peer.url));
    await costOf(engines, server, () => startEach(engines, calling, CALLS));
    outside.push(
      `Calls at a time on two engines, counted by the peer: ${peer.most()} (wanted: ${CALLS_AT_A_TIME} at most).`,
    );
  } finally {
    peer.close();
  }
  const template = await publishOver(url, listed(concurrency));
  await costOf(engines, server, () => startEach(engines, template, items));
  const { rows } = await engines.pool.query(
    `select e.outputs from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
      where t.name = 'listed'`,
  );
  const list = rows[0].outputs as number[];
  const isOrdered = list.length === items && list.every((index, at) => index === at);
  outside.push(`Results of ${items} items on two engines are ${isOrdered ? '' : 'NOT '}in order.`);
}

async function measure(
  name: string,
  count: number,
  engines: Engines,
  start: () => Promise<unknown>,
): Promise<void> {
  const { ms, cpuMs } = await costOf(engines, server, start);
  costs.set(name, [...(costs.get(name) ?? []), { ms: ms / count, cpuMs: cpuMs / count }]);
}

function report(): void {
  const us = (name: string, of: keyof Cost) => spread(costs.get(name)!.map((cost) => cost[of] * 1_000));
  const rows = Object.values(names).map((name) => [
    name,
    showSpread(us(name, 'ms')),
    showSpread(us(name, 'cpuMs')),
  ]);
  console.log(markdownTable(['', 'µs by the clock', 'µs of processors'], rows));
  const tell = (what: string, above: string, below: string, wanted: string) => {
    const ratio = (of: keyof Cost) => show(us(above, of).median / us(below, of).median);
    console.log(
      `${what}: ${ratio('ms')} by the clock, ${ratio('cpuMs')} in processor time (wanted: ${wanted}).`,
    );
  };
  console.log();
  tell(`An item of ${items} over a step of a chain`, names.few, names.step, '2 or less');
  tell(`An item of ${items * TIMES_MORE} over one of ${items}`, names.many, names.few, '1.2 or less');
  tell('A step of a child over a step of a chain', names.child, names.step, 'no goal');
  tell('Speed of two engines over one', names.one, names.two, '1 or more');
  tell('The same with items that sleep 50 ms', names.sleepOne, names.sleepTwo, '1.8 or more');
  console.log(`Most resident memory of the engine: ${show(highestMb)} MB (wanted: below 400).`);
  for (const line of outside) console.log(line);
}
