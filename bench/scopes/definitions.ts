/**
 * The measured foreach steps. The number of items is an input, so that one template serves all sizes.
 */
import type { Workload } from '../workloads.ts';

type Each = Readonly<Record<string, unknown>>;

function over(name: string, params: Each): Workload {
  const each = { type: 'foreach', with: { items: '${{ input.count }}', ...params } };
  return { name, stepCount: 1, definition: { name, steps: { each }, output: '${{ steps.each.output }}' } };
}

export const noops = (concurrency: number): Workload =>
  over('items', {
    concurrency,
    collect: 'summary',
    output: '${{ index }}',
    steps: { one: { type: 'noop', with: { ok: true } } },
  });

/** Its results are a list of their indexes. */
export const listed = (concurrency: number): Workload =>
  over('listed', {
    concurrency,
    output: '${{ index }}',
    steps: { one: { type: 'noop', with: { ok: true } } },
  });

export const sleepers = (concurrency: number): Workload =>
  over('sleepers', {
    concurrency,
    collect: 'summary',
    steps: { one: { type: 'bench.sleep', with: { ms: 50 } } },
  });

/** Each item calls a peer, which counts how many do at a time. */
export const callers = (concurrency: number, url: string): Workload =>
  over('callers', { concurrency, collect: 'summary', steps: { one: { type: 'http', with: { url } } } });

/** Each item is a child execution of ten steps. */
export const parents = (concurrency: number): Workload =>
  over('parents', {
    concurrency,
    collect: 'summary',
    steps: { one: { type: 'workflow', with: { name: 'chain' } } },
  });
