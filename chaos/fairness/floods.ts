/**
 * Floods: the work of a workspace that takes all it can get. Each flood lasts longer than the measurements beside it.
 */
import type { JsonObject } from '../../core/json/json.ts';
import type { StartItem } from '../../services/execution-answers.ts';

/** Where calls of the flood go: it answers none of them for a long time. */
export interface FloodTargets {
  readonly url: string;
}

export interface Flood {
  readonly definition: JsonObject;
  /** Executions that are started. */
  readonly starts: number;
  /** More of each start. @param at counts them */
  item?(targets: FloodTargets, at: number): Partial<StartItem>;
  /** It is begun again when all its executions have ended: they end too soon. */
  readonly isRepeated?: boolean;
  /** Its executions end long before it is over. */
  readonly endsEarly?: boolean;
}

const WIDTH = 120;
const BURST = 10_000;
const ITEMS = 100_000;
const ENDLESS = '${{ (() => { for (;;); })() }}';
const GIANT = "${{ [...Array(900)].map((_, at) => String(at).repeat(300).slice(0, 1000)).join('') }}";

const sideBySide = (step: JsonObject, more: JsonObject = {}): JsonObject => ({
  onFailure: 'continue',
  steps: Object.fromEntries(Array.from({ length: WIDTH }, (_, at) => [`s${at}`, step])),
  ...more,
});
const chain = (...steps: JsonObject[]): JsonObject => ({
  steps: Object.fromEntries(
    steps.map((step, at) => [`s${at}`, at === 0 ? step : { ...step, needs: [`s${at - 1}`] }]),
  ),
});
const NOOP = { type: 'noop', with: { value: 1 } };

export const FLOODS = {
  /** 120 expressions that never end. */
  expressions: { definition: sideBySide({ type: 'transform', with: { value: ENDLESS } }), starts: 1 },
  /** 120 scripts that never end. */
  scripts: { definition: sideBySide({ type: 'script', with: { code: 'for (;;);' } }), starts: 1 },
  /** 120 executions whose output never ends. */
  outputs: { definition: { steps: { s: NOOP }, output: ENDLESS }, starts: WIDTH },
  /** Outputs of 900 kB, one after the other in each of 20 executions. */
  giants: {
    definition: chain(...Array.from({ length: 20 }, () => ({ type: 'transform', with: { value: GIANT } }))),
    starts: 20,
    isRepeated: true,
  },
  /** 10,000 executions at once. */
  pending: { definition: chain(NOOP, NOOP, NOOP, NOOP, NOOP), starts: BURST, isRepeated: true },
  /** 100,000 items of one execution, as many at a time as a foreach may have. */
  items: {
    definition: {
      steps: {
        each: {
          type: 'foreach',
          with: { items: ITEMS, concurrency: 1_000, collect: 'summary', output: 1, steps: { one: NOOP } },
        },
      },
    },
    starts: 1,
    isRepeated: true,
  },
  /** 120 steps that wait for an answer. */
  calls: {
    definition: sideBySide({ type: 'http', with: { url: '${{ input.url }}' }, timeout: '10m' }),
    starts: 1,
    item: ({ url }) => ({ inputs: { url } }),
  },
  /** 120 steps that share a key of which one runs at a time. */
  limits: {
    definition: sideBySide({
      type: 'http',
      with: { url: '${{ input.url }}' },
      timeout: '10m',
      concurrency: { key: 'narrow', limit: 1 },
    }),
    starts: 1,
    item: ({ url }) => ({ inputs: { url } }),
  },
  /** 500 callbacks to receivers that do not answer. */
  callbacks: {
    definition: { steps: { s: NOOP } },
    starts: 500,
    endsEarly: true,
    item: ({ url }, at) => ({ callback_url: `${url}callback/${at}` }),
  },
} as const satisfies Record<string, Flood>;

export type FloodName = keyof typeof FLOODS;
