/**
 * Puts a run's tables into docs/performance.md, between two marks; everything around them stays.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Spread, show } from './statistics.ts';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
const BEGIN = '<!-- bench:peers -->';
const END = '<!-- /bench:peers -->';

/** The most cores that other programs may have used; with more, the figures are not published. */
const QUIET_MEDIAN = 0.1;
const QUIET_WORST = 0.5;

/** Returns a sentence about the result. @param noise cores that other programs used */
export function publishSection(text: string, noise: Spread): string {
  if (noise.median > QUIET_MEDIAN || noise.high > QUIET_WORST) {
    return `Other programs used ${show(noise.median)} cores (worst cell: ${show(noise.high)}): nothing was published.`;
  }
  if (!existsSync(PAGE)) return 'docs/performance.md does not exist: nothing was published.';
  const page = readFileSync(PAGE, 'utf8');
  const section = `${BEGIN}\n\n${text}\n\n${END}`;
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  const next =
    from >= 0 && to > from
      ? page.slice(0, from) + section + page.slice(to + END.length)
      : `${page.trimEnd()}\n\n## Beside the peers\n\n${section}\n`;
  writeFileSync(PAGE, next);
  return 'The tables in docs/performance.md are this run’s.';
}
