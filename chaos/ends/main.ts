/**
 * `npm run ends`: cancels executions of which a thousand items or children run, and lets cancels and stops race with the
 * completion of what is below, on two engines.
 *
 * Ends with 0 when everything was final in time, nothing was left open, nothing started after an end and no final state has
 * changed; with 1 otherwise.
 */
import { forbidden } from '../../tests/support/faults/scope-ends.ts';
import { endOnSignals } from '../stage/signals.ts';
import { RACES } from './definitions.ts';
import { endsCommandOf, parseEndsOptions } from './options.ts';
import { playRaces } from './races.ts';
import { setEndsStage } from './stage.ts';
import { cancelWideOnes } from './wide.ts';

const options = parseEndsOptions(process.argv.slice(2));
console.log(endsCommandOf(options));
const setting = setEndsStage(options.open);
endOnSignals(async () => (await setting).close());
const stage = await setting;
let isGood = false;
try {
  isGood = await play();
} catch (error) {
  console.error(error);
} finally {
  await stage.close();
}
process.exit(isGood ? 0 : 1);

async function play(): Promise<boolean> {
  const wide = await cancelWideOnes(options, stage);
  for (const { name, running, answeredMs, finalMs } of wide)
    console.log(
      `${name}: ${running} running; the cancel was answered after ${Math.round(answeredMs)} ms, all was final after ${Math.round(finalMs)} ms`,
    );
  for (const definition of RACES)
    await stage.engines[0].publish(JSON.stringify(definition), 'application/json');
  const { ended, faults } = await playRaces(options, stage);
  console.log(`${options.races} races: ${JSON.stringify(ended)}`);
  const wrong = [...faults, ...(await forbidden(stage.admin))];
  for (const line of wrong) console.log(line);
  const isInTime = wide.every(({ finalMs }) => finalMs <= options.most);
  if (!isInTime) console.log(`A wide execution was not final after ${options.most} ms.`);
  return wrong.length === 0 && isInTime;
}
