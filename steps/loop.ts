/**
 * `loop`: runs its steps again and again, each time as a scope, while or until a condition holds.
 *
 * Between two iterations the step is parked: it waits for the scope, and then for the interval if there is one. A later
 * attempt goes on with the iteration that failed.
 */
import type { Json } from '../core/json/json.ts';
import { childProperties, faultsOfChoice } from './child-params.ts';
import { durationOf, durationSchema, faultsOf, knownDuration } from './measure.ts';
import { Holding, Parked, type StepContext, StepFailure, type StepType } from './step-type.ts';

interface LoopParams {
  while?: boolean | string;
  until?: boolean | string;
  maxIterations?: number;
  interval?: number | string;
}

/** What the step was parked for. */
type Phase = 'scope' | 'interval';

const CONDITION = {
  anyOf: [
    { type: 'boolean' },
    {
      type: 'string',
      pattern: '^\\s*\\$\\{\\{[\\s\\S]*\\}\\}\\s*$',
      examples: ['${{ previous.state != "ready" }}'],
    },
  ],
};

export function loopStep(most: number): StepType<LoopParams> {
  return {
    type: 'loop',
    summary: 'Runs steps again and again, while or until a condition holds.',
    readsInputs: () => false,
    holds: [
      {
        steps: '/steps',
        output: '/output',
        alongside: ['/while', '/until'],
        names: ['iteration', 'previous'],
        children: { inputs: {} },
      },
    ],
    schema: {
      type: 'object',
      additionalProperties: false,
      properties: {
        while: {
          ...CONDITION,
          description:
            'Checked before each iteration: it runs while this is true. Sees `iteration` and `previous`.',
        },
        until: {
          ...CONDITION,
          description:
            'Checked after each iteration, whose result is `previous`: the loop ends when this is true.',
        },
        steps: {
          type: 'object',
          description: 'The steps of an iteration, which see `iteration` and `previous`.',
        },
        output: { description: 'The result of an iteration. Default: the outputs of its last steps.' },
        ...childProperties('iteration', '{}'),
        maxIterations: {
          type: 'integer',
          minimum: 1,
          maximum: most,
          description: `The loop fails when it would go on after so many; ${most} by default.`,
        },
        interval: durationSchema('Time between two iterations.', 0),
      },
    },
    review: ({ interval }, written) => [
      ...faultsOfChoice(written),
      ...faultsOf({ interval: () => knownDuration(interval, 'interval', 0) }),
      ...('while' in written === 'until' in written
        ? [{ pointer: '', message: 'Give "while" or "until": one of them, and not both.' }]
        : []),
    ],
    run: (context) => goOn(context, most),
  };
}

async function goOn(context: StepContext<LoopParams>, most: number): Promise<unknown> {
  const { params, resumed, scopes } = context;
  const { held } = scopes!;
  if (resumed?.state === ('interval' satisfies Phase)) return iterate();
  if (resumed === null && held !== null) {
    const again = await scopes!.unfinished();
    if (again.length > 0) return iterate(again);
  }
  const done = held?.next ?? 0;
  if (await isOver(context, done)) return scopes!.last();
  const { maxIterations = most } = params;
  if (done >= maxIterations) {
    throw new StepFailure(
      'max_iterations',
      `The loop would go on after ${maxIterations} iterations, and maxIterations allows no more.`,
      { details: { iterations: done } },
    );
  }
  const pauseMs = done === 0 ? 0 : durationOf(params.interval ?? 0, 'interval', 0);
  return pauseMs === 0 ? iterate() : new Parked({ forMs: pauseMs }, 'interval' satisfies Phase);
}

/** @param again an iteration that failed, to be run anew; left out: the next one */
function iterate(again?: readonly number[]): Holding {
  const scopes = { concurrency: 1, tolerated: null };
  return again === undefined
    ? new Holding({ ...scopes, count: 1 }, 'scope' satisfies Phase)
    : new Holding({ ...scopes, count: 0, again }, 'scope' satisfies Phase);
}

/** Whether the condition ends the loop after so many iterations. */
async function isOver({ params, scopes, evaluate }: StepContext<LoopParams>, done: number): Promise<boolean> {
  const previous = await scopes!.last();
  if (params.until === undefined) return !(await evaluate(params.while!, { iteration: done, previous }));
  return done > 0 && Boolean(await evaluate(params.until as Json, { iteration: done - 1, previous }));
}
