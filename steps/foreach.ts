/**
 * `foreach`: runs its steps once for each item, each time as a scope, some at a time.
 *
 * The items are stored once, when the step begins; a later attempt goes on with them. Completed scopes are kept, those that
 * failed or were cancelled run anew.
 */
import { isObject, type Json } from '../core/json/json.ts';
import { childProperties, faultsOfChoice } from './child-params.ts';
import { Holding, type StepContext, StepFailure, type StepType } from './step-type.ts';

interface ForeachParams {
  items: Json;
  concurrency?: number;
  batch?: number;
  onItemFailure?: 'stop' | 'continue';
  tolerate?: number | string;
  collect?: 'list' | 'summary';
}

/** Open scopes of one step. */
const MAX_CONCURRENCY = 1_000;
const DEFAULT_CONCURRENCY = 10;

const PERCENT = /^(100|\d{1,2})%$/;

export function foreachStep(maxItems: number): StepType<ForeachParams> {
  return {
    type: 'foreach',
    summary: 'Runs steps for each item of a list, some at a time.',
    readsInputs: () => false,
    holds: [
      {
        steps: '/steps',
        output: '/output',
        names: ['item', 'index'],
        children: { inputs: '${{ item }}' },
      },
    ],
    schema: {
      type: 'object',
      additionalProperties: false,
      required: ['items'],
      properties: {
        items: {
          description:
            'What to run the steps for: a list, a number n for 0 to n-1, or an object for its entries as { key, value }.',
          anyOf: [{ type: 'array' }, { type: 'integer', minimum: 0 }, { type: 'object' }],
        },
        steps: {
          type: 'object',
          description: 'The steps to run for each item, which see `item` and `index`.',
        },
        output: { description: 'The result of one item. Default: the outputs of its last steps.' },
        ...childProperties('item', 'the item'),
        concurrency: {
          type: 'integer',
          minimum: 1,
          maximum: MAX_CONCURRENCY,
          description: `How many items run at a time; ${DEFAULT_CONCURRENCY} by default.`,
        },
        batch: { type: 'integer', minimum: 1, description: 'Gives each run a list of up to so many items.' },
        onItemFailure: {
          enum: ['stop', 'continue'],
          description: 'stop (default): the first failed item fails the step. continue: it yields { error }.',
        },
        tolerate: {
          description:
            'With continue: the most failed items, a number or a percentage such as "5%". Default: all.',
          anyOf: [
            { type: 'integer', minimum: 0 },
            { type: 'string', pattern: PERCENT.source, examples: ['5%'] },
          ],
        },
        collect: {
          enum: ['list', 'summary'],
          description: 'list (default): the output has all results in order. summary: it has their numbers.',
        },
      },
    },
    review: (_, written) => [
      ...faultsOfChoice(written),
      ...(written.tolerate !== undefined && written.onItemFailure !== 'continue'
        ? [{ pointer: '/tolerate', message: '"tolerate" needs "onItemFailure: continue".' }]
        : []),
    ],
    run: (context) => (context.resumed === null ? begin(context, maxItems) : collect(context)),
  };
}

async function begin({ params, scopes }: StepContext<ForeachParams>, maxItems: number): Promise<unknown> {
  const { concurrency = DEFAULT_CONCURRENCY, batch } = params;
  const { held } = scopes!;
  if (held !== null) {
    const again = await scopes!.unfinished();
    return new Holding({ count: 0, concurrency, tolerated: toleratedOf(params, held.total), again });
  }
  const all = itemsOf(params.items, maxItems);
  const items = batch === undefined ? all : inBatches(all, batch);
  if (items.length === 0) return collected(params, { total: 0, completed: 0, failed: 0, cancelled: 0 }, []);
  return new Holding({
    count: items.length,
    concurrency,
    tolerated: toleratedOf(params, items.length),
    items,
    makesList: params.collect !== 'summary',
  });
}

async function collect({ params, scopes }: StepContext<ForeachParams>): Promise<unknown> {
  const { total, completed, failed, cancelled } = scopes!.held!;
  const numbers = { total, completed, failed, cancelled };
  return collected(params, numbers, params.collect === 'summary' ? [] : await scopes!.list());
}

function collected({ collect: how }: ForeachParams, numbers: Record<string, number>, list: unknown): unknown {
  return how === 'summary' ? numbers : list;
}

/** @throws StepFailure */
function itemsOf(items: Json, maxItems: number): readonly Json[] {
  const count = Array.isArray(items) ? items.length : isObject(items) ? Object.keys(items).length : items;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0) {
    throw new StepFailure(
      'invalid_params',
      `items is ${JSON.stringify(items).slice(0, 100)}: it takes a list, a whole number from 0 on, or an object`,
    );
  }
  if (count > maxItems) {
    throw new StepFailure(
      'too_many_items',
      `There are ${count} items; EXECUTION_ENGINE_MAX_FOREACH_ITEMS allows ${maxItems}.`,
      { details: { items: count, limit: maxItems } },
    );
  }
  if (Array.isArray(items)) return items;
  if (!isObject(items)) return Array.from({ length: count }, (_, index) => index);
  const keys = Object.keys(items).sort((a, b) => (a < b ? -1 : 1));
  return keys.map((key) => ({ key, value: items[key] as Json }));
}

function inBatches(items: readonly Json[], size: number): Json[][] {
  const batches: Json[][] = [];
  for (let from = 0; from < items.length; from += size) batches.push(items.slice(from, from + size));
  return batches;
}

/** The number of failed scopes with which the step goes on; null: none, and it fails as the first one does. */
function toleratedOf({ onItemFailure, tolerate }: ForeachParams, total: number): number | null {
  if (onItemFailure !== 'continue') return null;
  if (tolerate === undefined) return total;
  const percent = typeof tolerate === 'string' ? PERCENT.exec(tolerate)?.[1] : undefined;
  return percent === undefined ? Number(tolerate) : Math.floor((total * Number(percent)) / 100);
}
