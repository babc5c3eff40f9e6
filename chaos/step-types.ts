/**
 * The step types of the harness, loaded by its engines: each run leaves an effect with the witness and then ends
 * as behaviour.ts says.
 */
import type { Json } from '../core/json/json.ts';
import { Parked, Routed, type StepContext, StepFailure, type StepType } from '../steps/step-type.ts';
import { ROUTES } from '../tests/support/core/route-names.ts';
import { type Behaviour, behaviourOf, effectOutput, HANG_TIMEOUT_MS, type StepTraits } from './behaviour.ts';
import { Recorder } from './witness.ts';

type Params = Pick<StepTraits, 'retries' | 'hangs'> & {
  seed: number;
  kind: 'effect' | 'route';
  /** Of a step in a scope: that of the item. */
  place?: string;
};

const SCHEMA = { type: 'object' };
/** Longer than the timeout of a step that hangs. */
const FOR_EVER_MS = 600_000;

/** The text of a module that exports them for an engine of this name. */
export function chaosStepModule(witnessUrl: string, engine: string): string {
  const args = [witnessUrl, engine].map((value) => JSON.stringify(value)).join(', ');
  return `import { chaosSteps } from ${JSON.stringify(new URL('./step-types.ts', import.meta.url).href)};\nexport default chaosSteps(${args});\n`;
}

/** @param engine names this process in the effects */
export function chaosSteps(witnessUrl: string, engine: string): StepType[] {
  const recorder = new Recorder(witnessUrl, engine);
  return chaosStepTypes((context) => act(recorder, context as unknown as StepContext<Params>));
}

/** The types as definitions see them, without handlers. */
export function chaosStepTypes(run: StepType['run'] = () => null): StepType[] {
  return [
    { type: 'chaos.effect', summary: 'Leaves an effect.', schema: SCHEMA, run },
    { type: 'chaos.route', summary: 'Leaves an effect.', schema: SCHEMA, run, routes: () => ROUTES },
  ];
}

async function act(recorder: Recorder, context: StepContext<Params>): Promise<unknown> {
  const { params, execution, step, attempt, resumed } = context;
  const { seed, kind, retries, hangs } = params;
  const name = params.place ?? step.key;
  const traits = { kind, retries, hangs, guarded: false, probed: false, held: null };
  const behaviour = behaviourOf(seed, name, traits);
  const visit = resumed === null ? 0 : Number(resumed.state);
  const busyMs = hangs ? HANG_TIMEOUT_MS : behaviour.busyMs;
  await recorder.record({
    executionId: execution.id,
    stepId: step.id,
    stepKey: name,
    attempt,
    visit,
    busyMs,
    complaint: complaintOf(context),
  });
  if (hangs) await busy(FOR_EVER_MS, true, context.signal);
  if (busyMs > 0) await busy(busyMs, behaviour.heeds, context.signal);
  if (visit < behaviour.parks) return new Parked({ forMs: behaviour.parkMs }, visit + 1);
  if (attempt <= behaviour.failures) throw new StepFailure('chaos', 'as planned', { retryable: true });
  if (behaviour.result === 'failed') throw new StepFailure('chaos', 'as planned, for good');
  return resultOf(kind, seed, step.key, behaviour);
}

function resultOf(kind: Params['kind'], seed: number, key: string, { routes }: Behaviour): unknown {
  const output = effectOutput(seed, key);
  return kind === 'route' ? new Routed(output, routes) : output;
}

/** Checks that the inputs are the outputs of its producers. */
function complaintOf({ inputs, params }: StepContext<Params>): string | null {
  for (const [key, input] of Object.entries(inputs)) {
    if (!isOutput(input)) continue;
    if (!isOf(input.step, key) || input.seed !== params.seed)
      return `${JSON.stringify(input)} came from ${key} of ${params.seed}`;
  }
  return null;
}

/** A loop gives the output of its last scope, which names the scope. */
function isOf(name: string, key: string): boolean {
  return name === key || name.startsWith(`${key}.`);
}

function isOutput(input: Json): input is { step: string; seed: number } {
  return typeof input === 'object' && input !== null && 'step' in input && 'seed' in input;
}

async function busy(ms: number, heeds: boolean, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const onAbort = () => resolve();
  if (heeds) signal.addEventListener('abort', onAbort, { once: true });
  if (!(heeds && signal.aborted)) await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', onAbort);
  if (heeds) signal.throwIfAborted();
}
