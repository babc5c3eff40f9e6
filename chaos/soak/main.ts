/**
 * `bun run soak`: applies a steady load over HTTP for a long time, with retention at work, and checks that memory,
 * connections, tables and latencies do not grow.
 *
 * Ends with 0 when all series are steady, with 1 when one grows or a check fails.
 */
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertInvariants } from '../../tests/support/invariants.ts';
import { chance } from '../chance.ts';
import { endOnSignals } from '../stage/signals.ts';
import { soakDefinitions, soakStepTypes } from './definitions.ts';
import { SoakLoad } from './load.ts';
import { parseSoakOptions } from './options.ts';
import { makeSoakReport, type SoakFindings, soakText } from './report.ts';
import { Sampler } from './samples.ts';
import { type SoakStage, setSoakStage } from './stage.ts';

const options = parseSoakOptions(process.argv.slice(2));
const SHARE_OF_FULL = 0.5;
const MAX_EXAMPLES = 5;

const setting = setSoakStage(options);
endOnSignals(async () => (await setting).close(!options.keep));
const stage = await setting;
try {
  const report = makeSoakReport(options, await soak(stage));
  console.log(`\n${soakText(report)}`);
  if (options.report !== null) await writeFile(options.report, `${JSON.stringify(report, null, 2)}\n`);
  const isKept = options.keep || !report.good;
  await stage.close(!isKept);
  if (isKept) console.log(`kept in ${stage.folder}`);
  process.exit(report.good ? 0 : 1);
} catch (error) {
  console.error(error);
  await stage.close(false);
  console.error(`kept in ${stage.folder}`);
  process.exit(1);
}

async function soak({ fleet, admin, adminUrl, peerUrl }: SoakStage): Promise<SoakFindings> {
  fleet.start();
  await fleet.allReady();
  const load = new SoakLoad({
    urls: fleet.ready.map(({ url }) => url!),
    definitions: soakDefinitions(peerUrl),
    admin,
    draw: chance(options.seed, 'soak'),
  });
  await load.publish();
  const full = options.rate === null ? await load.measureFull() : null;
  const rate = options.rate ?? Math.max(1, Math.floor((full ?? 0) * SHARE_OF_FULL));
  console.log(`${rate} executions per second${full === null ? '' : `, half of ${full.toFixed(1)}`}`);
  await load.untilOver();
  const sampler = new Sampler({ admin, load, engines: () => fleet.ready });
  await sampleUnderLoad(load, sampler, rate);
  const problems: string[] = [];
  const left = await load.untilOver();
  if (left > 0) problems.push(`${left} executions were not final a minute after the last start`);
  await addProblems(problems, stage, load);
  await assertInvariants(adminUrl, { extra: soakStepTypes() }).catch((error: Error) => {
    for (const line of error.message.split('\n').slice(1)) problems.push(`the doctor: ${line}`);
  });
  return { rate, full, started: load.started, samples: sampler.samples, problems };
}

async function sampleUnderLoad(load: SoakLoad, sampler: Sampler, rate: number): Promise<void> {
  const ending = new AbortController();
  const until = performance.now() + options.minutes * 60_000;
  await sampler.take();
  const running = load.run(rate, ending.signal);
  let nextAt = performance.now() + options.every * 1_000;
  for (let minute = 0; nextAt <= until; nextAt += options.every * 1_000) {
    await sleep(Math.max(0, nextAt - performance.now()));
    const { at, values } = await sampler.take();
    if (Math.floor(at / 60) === minute) continue;
    minute = Math.floor(at / 60);
    const told = Object.entries(values).filter(([name]) =>
      /^(engine \d+ memory|executions|start p50)/.test(name),
    );
    console.log(`minute ${minute}: ${told.map(([name, value]) => `${name} ${value.toFixed(1)}`).join(', ')}`);
  }
  ending.abort();
  await running;
}

async function addProblems(problems: string[], { fleet, admin }: SoakStage, load: SoakLoad): Promise<void> {
  if (load.missed > 0) problems.push(`${load.missed} starts were due while too many waited for their answer`);
  for (const [what, count] of [...load.refusals].slice(0, MAX_EXAMPLES))
    problems.push(`${count} starts were answered: ${what}`);
  for (const { engine, lastLines } of fleet.gaveUp)
    problems.push(`engine ${engine} ended by itself: ${lastLines.slice(-3).join(' | ')}`);
  const { rows } = await admin.query(
    `select t.name, e.status, count(*)::integer as count, min(e.error::text) as example
       from workflow_executions e join workflow_templates t on t.id = e.workflow_template_id
      where e.status <> 'completed' group by 1, 2`,
  );
  for (const { name, status, count, example } of rows)
    problems.push(`${count} executions of ${name} are ${status}, as ${example}`);
}
