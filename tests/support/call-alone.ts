/**
 * Makes each call of its arguments (`<time limit in ms> <URL>`) with the product's HTTP client, all at once, and prints
 * a line for each: the code of its failure, or its status. A program of its own, so that Node runs it too, and so that
 * the end of the program shows that no call holds on to anything.
 */
import type { StepFailure } from '../../steps/step-type.ts';
import { httpCall } from './http-call.ts';

const ends = process.argv.slice(2).map((call) => {
  const [timeoutMs, url] = call.split(' ');
  return httpCall(url!, { timeoutMs: Number(timeoutMs) }).then(
    ({ status }) => String(status),
    ({ code }: StepFailure) => code,
  );
});
console.log((await Promise.all(ends)).join('\n'));
