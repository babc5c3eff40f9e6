/**
 * `bun run recovery`: how long steps stand still after a fault of an engine, its network or the database, with the
 * default settings of the engine.
 *
 * Ends with 0 when every goal is met and every check passed, with 1 otherwise.
 */
import { writeFile } from 'node:fs/promises';
import { chance } from '../chance.ts';
import type { Range } from '../options.ts';
import { endOnSignals } from '../stage/signals.ts';
import { checkRecovery } from './checks.ts';
import { type CaseReport, isGood, makeCaseReport, recoveryText } from './goals.ts';
import { playAlone, playKills, playKillsAfterCuts } from './kill.ts';
import { RecoveryLoad } from './load.ts';
import {
  type Case,
  DEFAULT_TIMES,
  parseRecoveryOptions,
  type RecoveryOptions,
  recoveryCommandOf,
} from './options.ts';
import { Findings, type Play } from './play.ts';
import { playCrashes, playRestarts } from './restart.ts';
import { playFreezes, playPartitions } from './silence.ts';
import { type RecoveryStage, setRecoveryStage } from './stage.ts';

const PLAYS: Readonly<Record<Case, (play: Play) => Promise<void>>> = {
  kill: playKills,
  'kill-after-cut': playKillsAfterCuts,
  alone: playAlone,
  freeze: playFreezes,
  partition: playPartitions,
  'db-restart': playRestarts,
  'db-crash': playCrashes,
};
const STALE = 'execution_engine_stale_completions_total';
const HOLD_SECONDS: Range = [2, 6];

const options = parseRecoveryOptions(process.argv.slice(2));
let current: Promise<RecoveryStage> | null = null;
endOnSignals(async () => (await current)?.close(true));

console.log(recoveryCommandOf(options));
const reports: CaseReport[] = [];
for (const name of options.cases) reports.push(await runCase(name, options));
console.log(`\n${recoveryText(options, reports)}`);
if (options.report !== null)
  await writeFile(options.report, `${JSON.stringify({ options, reports }, null, 2)}\n`);
process.exit(reports.every(isGood) ? 0 : 1);

async function runCase(name: Case, given: RecoveryOptions): Promise<CaseReport> {
  const begunAt = performance.now();
  const findings = new Findings();
  current = setRecoveryStage(name, given);
  const stage = await current;
  try {
    await playOn(stage, name, given, findings);
  } catch (error) {
    findings.problems.push(`it could not be measured to its end: ${(error as Error).message}`);
  }
  const seconds = Math.round((performance.now() - begunAt) / 1_000);
  const report = makeCaseReport(name, given, findings, { seconds, folder: stage.folder });
  const isKept = given.keep || !isGood(report);
  await stage.close(!isKept);
  return isKept ? report : { ...report, folder: null };
}

async function playOn(
  stage: RecoveryStage,
  name: Case,
  { seed, inFlight, times }: RecoveryOptions,
  findings: Findings,
): Promise<void> {
  const { fleet, admin, wire } = stage;
  fleet.start();
  await fleet.allReady();
  const askable = () => fleet.ready.filter((engine) => wire?.isCut !== true || engine !== fleet.at(0));
  const load = new RecoveryLoad({
    urls: () => askable().map(({ url }) => url!),
    admin,
    inFlight,
    holdSeconds: HOLD_SECONDS,
    draw: chance(seed, name, 'load'),
  });
  await load.start();
  try {
    const play = { times: times ?? DEFAULT_TIMES[name], stage, findings, draw: chance(seed, name, 'faults') };
    await PLAYS[name]({ ...play, tell: (line) => console.log(`${name}: ${line}`) });
  } finally {
    await load.stop();
  }
  const left = await load.finish();
  findings.facts['late results refused'] = await fleet.total(STALE);
  if (left > 0) findings.problems.push(`${left} executions were not final a minute after the last fault`);
  await checkRecovery(stage, findings, load.started);
}
