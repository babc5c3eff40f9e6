/** The judge of scopes: what must become of them is allowed, and every forgery of it is found. */
import { expect, test } from 'bun:test';
import { parseOptions } from '../options.ts';
import { Plan, type PlannedExecution } from '../plan.ts';
import { checkScopes, type FoundScopes } from './checks.ts';
import { LAST } from './held.ts';
import { type HolderOutcome, holderOutcome } from './outcomes.ts';

const plan = new Plan(parseOptions('--seed 11 --templates 120 --max-steps 30 --executions 400'.split(' ')));
const places = Array.from({ length: 400 }, (_, place) => plan.execution(place));
const fateOf = ({ seed }: PlannedExecution) => ({ seed, lost: new Set<string>() });

function rowsBelow(path: string, { scopes }: HolderOutcome): { path: string; status: string }[] {
  return scopes.flatMap(({ status, held }, index) => {
    const own = `${path}[${index}]`;
    return [{ path: own, status }, ...(held === null ? [] : rowsBelow(`${own}/${LAST}`, held))];
  });
}

/** Every holder came to its end by itself, with all its scopes. */
function ended(planned: PlannedExecution): FoundScopes {
  const steps: { key: string; status: string }[] = [];
  const scopes: FoundScopes['scopes'][number][] = [];
  for (const [key, { held }] of planned.definition.traits) {
    if (held === null) continue;
    const outcome = holderOutcome(held, fateOf(planned), key);
    steps.push({ key, status: outcome.fails ? 'failed' : 'completed' });
    scopes.push(...rowsBelow(key, outcome).map((row) => ({ ...row, execution_id: '' })));
  }
  return { steps, scopes, inner: [], open: [] };
}

function complaints(planned: PlannedExecution, found: FoundScopes): string[] {
  const heard: string[] = [];
  checkScopes(planned, fateOf(planned), found, (check) => heard.push(check));
  return heard;
}

const holding = places
  .map((planned) => ({ planned, found: ended(planned) }))
  .filter(({ found }) => found.scopes.length > 0);

test('scopes that ended as their steps tell are right', () => {
  expect(holding.length).toBeGreaterThan(50);
  expect(holding.flatMap(({ planned, found }) => complaints(planned, found))).toEqual([]);
});

test('a scope with another end, one that is missing in a completed step, and one too many are found', () => {
  for (const { planned, found } of holding) {
    const other = found.scopes[0]!.status === 'completed' ? 'failed' : 'completed';
    const forged = [{ ...found.scopes[0]!, status: other }, ...found.scopes.slice(1)];
    expect(complaints(planned, { ...found, scopes: forged })).not.toEqual([]);
    const more = { execution_id: '', path: `${found.steps[0]!.key}[99]`, status: 'completed' };
    expect(complaints(planned, { ...found, scopes: [...found.scopes, more] })).toEqual([
      'a scope that nobody opened',
    ]);
    const completed = found.steps.find(({ status }) => status === 'completed')?.key;
    const missing = found.scopes.filter(({ path }) => path !== `${completed}[0]`);
    if (missing.length < found.scopes.length)
      expect(complaints(planned, { ...found, scopes: missing })).not.toEqual([]);
  }
});

test('more open scopes than allowed, and a step that did not complete in a completed scope are found', () => {
  for (const { planned, found } of holding) {
    const { key } = found.steps[0]!;
    const open = [{ execution_id: '', holder: key, most: 99 }];
    expect(complaints(planned, { ...found, open })).toEqual(['more scopes were open at once than allowed']);
    const scope = found.scopes.find(({ status }) => status === 'completed')?.path;
    if (scope === undefined) continue;
    const step = {
      id: '',
      execution_id: '',
      scope,
      key: 'x/work',
      status: 'skipped',
      attempt_count: 1,
      error_code: null,
    };
    expect(complaints(planned, { ...found, inner: [step] })).toEqual([
      'a step of a completed scope did not complete',
    ]);
  }
});
