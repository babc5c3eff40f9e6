import { describe, expect, test } from 'bun:test';
import { PeerWatch } from './peer-watch.ts';

/** Leases that the test frees, and what was asked for. */
function world(late: (id: string) => number | null = () => 0) {
  const free = new Map<string, () => void>();
  const waited: string[] = [];
  const aborted: string[] = [];
  let searches = 0;
  const taken = Promise.withResolvers<void>();
  const watch = new PeerWatch({
    engineId: 'm',
    leaseIsFree: (id, signal) => {
      waited.push(id);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      free.set(id, resolve);
      signal.addEventListener('abort', () => {
        aborted.push(id);
        reject(signal.reason);
      });
      return promise;
    },
    msUntilLate: async (id) => late(id),
    search: async () => {
      searches += 1;
      taken.resolve();
    },
    onError: (error) => {
      throw error;
    },
  });
  return { watch, free, waited, aborted, taken: taken.promise, searches: () => searches };
}

describe('the watch', () => {
  test('searches when the lease of its peer is free', async () => {
    const { watch, free, taken } = world();
    watch.watch(['z']);
    free.get('z')!();
    await taken;
    watch.close();
  });

  test('goes to another peer when one comes in between, and lets the old one go', () => {
    const { watch, waited, aborted } = world();
    watch.watch(['z']);
    watch.watch(['z']);
    watch.watch(['p', 'z']);
    expect(waited).toEqual(['z', 'p']);
    expect(aborted).toEqual(['z']);
    watch.close();
    expect(aborted).toEqual(['z', 'p']);
  });

  test('leaves a peer alone that said goodbye', async () => {
    const asked = Promise.withResolvers<void>();
    const { watch, free, searches } = world(() => {
      asked.resolve();
      return null;
    });
    watch.watch(['z']);
    free.get('z')!();
    await asked.promise;
    await Promise.resolve();
    watch.close();
    expect(searches()).toBe(0);
  });
});
