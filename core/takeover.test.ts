import { expect, test } from 'bun:test';
import { handlerPlace, takeoverEvent } from './takeover.ts';

const CLAIM = { attempt: 1, owner: 'engine' };

test.each([
  [true, ['engine', 'engine', 'shared host', 'own host', 'own host']],
  [false, ['shared host', 'shared host', 'own host', 'own host', 'own host']],
] as const)('built-in: %p; after each death of its process a handler runs in %p', (isBuiltIn, places) => {
  expect(places.map((_, crashes) => handlerPlace(isBuiltIn, crashes))).toEqual([...places]);
});

test('however often engines die, a built-in step ends up in no host of its own by that', () => {
  let crashes = 0;
  for (let death = 0; death < 10; death += 1)
    if (takeoverEvent(0, CLAIM, handlerPlace(true, crashes)).type === 'rescue') crashes += 1;
  expect(handlerPlace(true, crashes)).toBe('shared host');
});
