/** When a loop counts as stuck, and when it does not. */
import { expect, test } from 'bun:test';
import { StallWatch } from './stall-watch.ts';

function watched() {
  const loop = { turned: 0, nudged: 0 };
  const stalls = new StallWatch([
    {
      stuck: 'stuck',
      turns: () => loop.turned,
      hasWork: (jobsAreDue) => jobsAreDue,
      nudge: () => {
        loop.nudged += 1;
      },
    },
  ]);
  const rounds = (count: number, jobsAreDue: boolean) => {
    for (let at = 0; at < count; at += 1) stalls.round(jobsAreDue);
  };
  return { loop, stalls, rounds };
}

test('a loop that does not turn in ten rounds with work is stuck', () => {
  const { stalls, rounds } = watched();
  rounds(9, true);
  expect(stalls.stall).toBeNull();
  rounds(1, true);
  expect(stalls.stall).toBe('stuck');
});

test('a loop without work need not turn', () => {
  const { loop, stalls, rounds } = watched();
  rounds(100, false);
  expect([stalls.stall, loop.nudged]).toEqual([null, 0]);
});

test('a loop that turns is not stuck however much work is left', () => {
  const { loop, stalls, rounds } = watched();
  for (let at = 0; at < 100; at += 1) {
    loop.turned += 1;
    rounds(9, true);
    expect(stalls.stall).toBeNull();
  }
});

test('work that others take in time is no stall', () => {
  const { stalls, rounds } = watched();
  for (let at = 0; at < 10; at += 1) {
    rounds(9, true);
    rounds(1, false);
  }
  expect(stalls.stall).toBeNull();
});

test('what was stuck stays so when others take its work, is nudged, and is well as soon as it turns', () => {
  const { loop, stalls, rounds } = watched();
  rounds(10, true);
  rounds(5, false);
  expect([stalls.stall, loop.nudged]).toEqual(['stuck', 5]);
  loop.turned += 1;
  expect(stalls.stall).toBeNull();
  rounds(9, true);
  expect([stalls.stall, loop.nudged]).toEqual([null, 5]);
});
