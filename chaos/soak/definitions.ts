/**
 * The mix of a soak run: the definitions of its executions, and the step type that they use besides the built-in ones.
 *
 * Every execution of every definition completes when the engine does as it should.
 */
import type { Json, JsonObject } from '../../core/json/json.ts';
import { type StepContext, StepFailure, type StepType } from '../../steps/step-type.ts';
import type { Chance } from '../chance.ts';

export interface SoakDefinition {
  readonly document: JsonObject & { readonly name: string };
  /** Its share of all executions, relative to the others. */
  readonly weight: number;
  inputs(draw: Chance): JsonObject;
}

/** The definition whose time from start to end is reported: it has no waits. */
export const TIMED = 'soak-chain';

/** @param peerUrl of the server that the http step calls */
export function soakDefinitions(peerUrl: string): readonly SoakDefinition[] {
  return [
    { document: { name: TIMED, steps: chain(6) }, weight: 4, inputs: (draw) => ({ n: draw.below(1_000) }) },
    {
      document: { name: 'soak-fan', steps: fan(8) },
      weight: 2,
      inputs: (draw) => ({ n: draw.below(1_000) }),
    },
    { document: { name: 'soak-retry', steps: retries() }, weight: 1, inputs: () => ({}) },
    {
      document: { name: 'soak-delay', steps: delays() },
      weight: 2,
      inputs: (draw) => ({ ms: 1_000 + draw.below(1_000) }),
    },
    {
      document: { name: 'soak-guards', steps: guards() },
      weight: 2,
      inputs: (draw) => ({ yes: draw.happens(0.5), n: draw.below(100) }),
    },
    {
      document: { name: 'soak-http', steps: calls(peerUrl) },
      weight: 1,
      inputs: (draw) => ({ n: draw.below(1_000) }),
    },
    {
      document: { name: 'soak-work', steps: work(3) },
      weight: 2,
      inputs: () => ({ text: 'x'.repeat(1_000) }),
    },
  ];
}

/** One of them, by weight. */
export function drawDefinition(definitions: readonly SoakDefinition[], draw: Chance): SoakDefinition {
  const total = definitions.reduce((sum, { weight }) => sum + weight, 0);
  let left = draw.below(total);
  return definitions.find(({ weight }) => {
    left -= weight;
    return left < 0;
  })!;
}

function chain(length: number): JsonObject {
  const step = (at: number): JsonObject => ({
    type: 'transform',
    with: { value: { n: '${{ input.n }}', step: at } },
    ...(at === 0 ? {} : { needs: [`s${at - 1}`] }),
  });
  return Object.fromEntries(Array.from({ length }, (_, at) => [`s${at}`, step(at)]));
}

function fan(width: number): JsonObject {
  const names = Array.from({ length: width }, (_, at) => `b${at}`);
  const branch: JsonObject = { type: 'transform', needs: ['begin'], with: { value: '${{ input.n + 1 }}' } };
  return {
    begin: { type: 'noop' },
    ...Object.fromEntries(names.map((name) => [name, branch])),
    end: { type: 'merge', needs: names },
  };
}

function retries(): JsonObject {
  const retry: JsonObject = { limit: 3, delay: 100, backoff: 'fixed' };
  return {
    fails: { type: 'soak.work', with: { failures: 2 }, retry },
    after: { type: 'noop', needs: ['fails'] },
  };
}

function delays(): JsonObject {
  return {
    begin: { type: 'noop' },
    wait: { type: 'delay', needs: ['begin'], with: { for: '${{ input.ms }}' } },
    after: { type: 'transform', needs: ['wait'], with: { value: '${{ steps.wait.output.waitedMs }}' } },
  };
}

function guards(): JsonObject {
  const cases: Json = [{ route: 'small', when: '${{ input.n < 50 }}' }];
  return {
    begin: { type: 'noop' },
    yes: { type: 'noop', needs: ['begin'], when: '${{ input.yes }}' },
    after: { type: 'noop', needs: ['yes'] },
    decide: { type: 'switch', needs: ['begin'], with: { cases, default: 'large' } },
    small: { type: 'noop', needs: [{ step: 'decide', route: 'small' }] },
    large: { type: 'noop', needs: [{ step: 'decide', route: 'large' }] },
    end: { type: 'merge', needs: ['small', 'large'] },
  };
}

function calls(peerUrl: string): JsonObject {
  const retry: JsonObject = { limit: 10, delay: 50, backoff: 'fixed' };
  return {
    call: { type: 'http', with: { url: peerUrl, method: 'POST', body: { n: '${{ input.n }}' } }, retry },
    after: { type: 'transform', needs: ['call'], with: { value: '${{ steps.call.output.status }}' } },
  };
}

function work(length: number): JsonObject {
  const step = (at: number): JsonObject => ({
    type: 'soak.work',
    with: { failures: 0, text: '${{ input.text }}' },
    ...(at === 0 ? {} : { needs: [`w${at - 1}`] }),
  });
  return Object.fromEntries(Array.from({ length }, (_, at) => [`w${at}`, step(at)]));
}

/** The text of a module that exports the type for the engines. */
export function soakStepModule(): string {
  return `import { soakStepTypes } from ${JSON.stringify(new URL('./definitions.ts', import.meta.url).href)};\nexport default soakStepTypes();\n`;
}

/** A handler that fails in its first attempts, and then returns its parameters. */
export function soakStepTypes(): StepType[] {
  const run = ({ params, attempt }: StepContext): Json => {
    if (attempt <= Number(params.failures)) throw new StepFailure('soak', 'as planned', { retryable: true });
    return { attempt, text: params.text ?? null };
  };
  return [{ type: 'soak.work', summary: 'Fails at first.', schema: { type: 'object' }, run }];
}
