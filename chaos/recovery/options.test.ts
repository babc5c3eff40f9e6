/** The options of a recovery run. */
import { expect, test } from 'bun:test';
import { CASES, parseRecoveryOptions, recoveryCommandOf } from './options.ts';

const argumentsOf = (command: string) => command.split(' -- ')[1]!.split(' ');

test('the command of a run means the same run', () => {
  const asked = parseRecoveryOptions(
    '--case kill,freeze --times 5 --backend cockroachdb --pooler --seed 3'.split(' '),
  );
  expect(asked).toMatchObject({ cases: ['kill', 'freeze'], times: 5, backend: 'cockroachdb', seed: 3 });
  expect(parseRecoveryOptions(argumentsOf(recoveryCommandOf(asked)))).toEqual(asked);
});

test('a run that says nothing has every case, each as often as is usual for it', () => {
  expect(parseRecoveryOptions([])).toMatchObject({ cases: CASES, times: null, backend: null });
});
