/**
 * The step type of a recovery run, loaded by its engines: it calls the witness and ends when it is answered.
 */
import type { JsonObject } from '../../core/json/json.ts';
import type { StepContext, StepType } from '../../steps/step-type.ts';
import { callWitness } from './witness.ts';

/** One step; an execution is over when it is. */
export const RECOVERY_DEFINITION: JsonObject = {
  name: 'recovery',
  steps: { hold: { type: 'recovery.hold', with: { ms: '${{ input.ms }}' } } },
};

/** The text of a module that exports the type for an engine of this name. */
export function recoveryStepModule(socket: string, engine: string): string {
  const args = [socket, engine].map((value) => JSON.stringify(value)).join(', ');
  return `import { recoverySteps } from ${JSON.stringify(new URL('./step-types.ts', import.meta.url).href)};\nexport default recoverySteps(${args});\n`;
}

/** @param engine names its process in the calls */
export function recoverySteps(socket: string, engine: string): StepType[] {
  return recoveryStepTypes((context) => hold(socket, engine, context as unknown as Context));
}

/** The type as definitions see it, without a handler. */
export function recoveryStepTypes(run: StepType['run'] = () => null): StepType[] {
  return [{ type: 'recovery.hold', summary: 'Lasts for a while.', schema: { type: 'object' }, run }];
}

type Context = StepContext<{ ms: number }>;

async function hold(socket: string, engine: string, context: Context): Promise<JsonObject> {
  const { params, execution, step, attempt, signal } = context;
  const announcement = { engine, executionId: execution.id, stepId: step.id, attempt, holdMs: params.ms };
  await callWitness(socket, announcement, signal);
  return { attempt, engine };
}
