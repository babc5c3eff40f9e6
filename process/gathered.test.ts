import { expect, test } from 'bun:test';
import { Gathered } from './gathered.ts';

/** Work whose batches end when the test says so. */
function held(options: { maxItems?: number; maxSize?: number } = {}) {
  const batches: { items: readonly string[]; end: (error?: Error) => void }[] = [];
  const gathered = new Gathered<string, string>({
    work: (items) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error) =>
          error === undefined ? resolve(items.map((item) => item.toUpperCase())) : reject(error);
        batches.push({ items, end });
      }),
    maxItems: options.maxItems ?? 10,
    maxSize: options.maxSize ?? 100,
    sizeOf: (item) => item.length,
  });
  /** Ends a batch, once it has begun. */
  const end = async (at: number, error?: Error) => {
    while (batches[at] === undefined) await Promise.resolve();
    batches[at].end(error);
  };
  const seen = () => batches.map(({ items }) => items.join(' '));
  return { gathered, end, seen };
}

test('a single item begins at once', async () => {
  const { gathered, end, seen } = held();
  const result = gathered.add('a');
  expect(seen()).toEqual(['a']);
  await end(0);
  expect(await result).toBe('A');
});

test('items that come meanwhile make up the next batch, and each gets its own result', async () => {
  const { gathered, end, seen } = held();
  const results = ['a', 'b', 'c'].map((item) => gathered.add(item));
  await end(0);
  await end(1);
  expect(await Promise.all(results)).toEqual(['A', 'B', 'C']);
  expect(seen()).toEqual(['a', 'b c']);
});

test('a batch has no more items, and no larger ones, than it may', async () => {
  const { gathered, end, seen } = held({ maxItems: 2, maxSize: 5 });
  const results = ['first', 'a', 'b', 'c', 'four', 'far too large', 'e'].map((item) => gathered.add(item));
  for (let at = 0; at < 5; at += 1) await end(at);
  await Promise.all(results);
  expect(seen()).toEqual(['first', 'a b', 'c four', 'far too large', 'e']);
});

test('the error of a batch is the error of its items alone', async () => {
  const { gathered, end } = held();
  const first = gathered.add('a');
  const second = gathered.add('b');
  const failure = first.catch((error) => error.message);
  await end(0, new Error('gone'));
  expect(await failure).toBe('gone');
  await end(1);
  expect(await second).toBe('B');
});
