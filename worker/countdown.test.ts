import { expect, test } from 'bun:test';
import { Countdown } from './countdown.ts';

/** When a span of `ms` that begins now is used up, and with it every shorter one that began before. */
function over(ms: number): Promise<void> {
  return new Promise((resolve) => new Countdown(ms, () => resolve()).resume());
}

test('a span that stands still is not used up, and goes on where it stopped', async () => {
  const said: string[] = [];
  const paused = new Countdown(20, () => said.push('paused'));
  const never = new Countdown(20, () => said.push('never resumed'));
  paused.resume();
  paused.pause();
  await over(40);
  never.renew();
  await over(40);
  expect(said).toEqual([]);
  paused.resume();
  paused.resume();
  await over(40);
  expect(said).toEqual(['paused']);
  expect(paused.isOver).toBe(true);
});

test('a span that is renewed is whole again, also when it was used up', async () => {
  const ends: number[] = [];
  const span = new Countdown(30, (lateMs) => ends.push(lateMs));
  span.resume();
  for (let n = 0; n < 10; n += 1) {
    const soon = over(10);
    span.renew();
    await soon;
  }
  expect(ends).toEqual([]);
  await over(60);
  expect(ends).toHaveLength(1);
  span.renew();
  expect(span.isOver).toBe(false);
  await over(60);
  expect(ends).toHaveLength(2);
});

test('a span that is longer than any timer is not over at once', async () => {
  let isOver = false;
  const span = new Countdown(2 ** 40, () => {
    isOver = true;
  });
  span.resume();
  await over(20);
  expect(isOver).toBe(false);
  span.pause();
});
