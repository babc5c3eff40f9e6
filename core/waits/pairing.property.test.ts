import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../../tests/support/core/cases.ts';
import { type Fit, type Kept, pairUp, type Wait } from './pairing.ts';

const name = fc.constantFrom('a', 'b');
const scope = fc.constantFrom('', 'each[0]', 'each[1]');
const WAITS = fc.array(fc.record({ name, scope, wants: fc.nat(2) }), { maxLength: 8 });
const KEPT = fc.array(fc.record({ name, scope: fc.option(scope), payload: fc.nat(2) }), { maxLength: 12 });

type TestWait = Wait & { readonly wants: number };
type TestKept = Kept & { readonly payload: number };

/** 0 fits every wait; a wait that wants 0 takes everything. */
const fits = ({ wants }: TestWait, { payload }: TestKept) =>
  wants === 0 || payload === 0 || wants === payload;

/** By the rules, one wait after the other: what became of each signal, by its place. */
function oracle(waits: readonly TestWait[], kept: readonly TestKept[]): string[] {
  const fates = kept.map(() => 'kept');
  for (const [at, wait] of waits.entries()) {
    for (const [place, signal] of kept.entries()) {
      const isMeant = signal.name === wait.name && [null, wait.scope].includes(signal.scope);
      if (fates[place] !== 'kept' || !isMeant) continue;
      fates[place] = fits(wait, signal) ? `used by ${at}` : 'dropped';
      if (fates[place] !== 'dropped') break;
    }
  }
  return fates;
}

test('each wait gets the oldest signal that fits it, the oldest wait first, and what does not fit is dropped', () => {
  fc.assert(
    fc.property(WAITS, KEPT, (waits, kept) => {
      const fates = kept.map(() => 'kept');
      const pairs = pairUp(waits, kept);
      for (let next = pairs.next(); next.done !== true; ) {
        const { wait, kept: signal } = next.value;
        const place = kept.indexOf(signal);
        expect(fates[place]).toBe('kept');
        const fit: Fit = fits(wait, signal) ? 'fits' : 'misfit';
        fates[place] = fit === 'fits' ? `used by ${waits.indexOf(wait)}` : 'dropped';
        next = pairs.next(fit);
      }
      expect(fates).toEqual(oracle(waits, kept));
    }),
    cases(3_000),
  );
});

test('a wait of which it cannot be said whether a signal fits keeps it from the others', () => {
  const waits = [
    { name: 'a', scope: '' },
    { name: 'a', scope: '' },
  ];
  const kept = [1, 2].map((payload) => ({ name: 'a', scope: null, payload }));
  const pairs = pairUp(waits, kept);
  expect(pairs.next().value).toMatchObject({ kept: { payload: 1 } });
  expect(pairs.next('unknown').value).toMatchObject({ kept: { payload: 2 } });
  expect(pairs.next('fits').done).toBe(true);
});
