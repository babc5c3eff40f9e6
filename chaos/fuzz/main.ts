/**
 * `npm run fuzz`: hostile documents through every door of one engine, whose event loop is watched.
 *
 * Ends with 0 when no answer was a server error and the event loop never stood still for longer than allowed, with 1
 * otherwise.
 */
import { writeFile } from 'node:fs/promises';
import { endOnSignals } from '../stage/signals.ts';
import { fuzzCommandOf, parseFuzzOptions } from './options.ts';
import { fuzzReport, fuzzText, isGood } from './report.ts';
import { playFuzz } from './run.ts';
import { setFuzzStage } from './stage.ts';

const options = parseFuzzOptions(process.argv.slice(2));
console.log(fuzzCommandOf(options));
const setting = setFuzzStage();
endOnSignals(async () => (await setting).close());
const stage = await setting;
const begunAt = performance.now();
const played = await playFuzz(options, stage, console.log).catch(async (error) => {
  await stage.close();
  throw error;
});
const seconds = Math.round((performance.now() - begunAt) / 1_000);
const report = fuzzReport(options, played, await stage.blocks(), { seconds, isAlive: stage.isAlive() });
await stage.close();
if (!report.isAlive) console.log(stage.lastLines().slice(-30).join('\n'));
console.log(fuzzText(report));
if (options.report !== null) await writeFile(options.report, `${JSON.stringify(report, null, 2)}\n`);
process.exit(isGood(report) ? 0 : 1);
