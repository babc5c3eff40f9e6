/** The options, and the command that repeats a run. */
import { expect, test } from 'bun:test';
import { commandOf, FAULTS, parseOptions } from './options.ts';

const argumentsOf = (command: string) => command.split(' -- ')[1]!.split(' ');

test('the command of a run means the same run', () => {
  const asked = parseOptions(
    '--executions 7 --engines 2 --seed 42 --faults kill,eat --kill-every 1-1.5 --eat 0.5'.split(' '),
  );
  expect(asked).toMatchObject({ executions: 7, seed: 42, faults: ['kill', 'eat'], killEvery: [1, 1.5] });
  expect(parseOptions(argumentsOf(commandOf(asked)))).toEqual(asked);
});

test('a run that says nothing has all faults and a seed that is told', () => {
  const options = parseOptions([]);
  expect(options.faults).toEqual(FAULTS);
  expect(Object.entries(options).filter(([, value]) => value === undefined)).toEqual([]);
  expect(parseOptions(argumentsOf(commandOf(options)))).toEqual(options);
});

test('a run in peace can be repeated too', () => {
  const options = parseOptions(['--faults', 'none']);
  expect(parseOptions(argumentsOf(commandOf(options))).faults).toEqual([]);
});
