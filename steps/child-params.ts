/**
 * The parameters with which a step that holds scopes starts a child execution for each, instead of running steps.
 */
import type { JsonObject, JsonSchema } from '../core/json/json.ts';
import type { ParamFault } from '../core/step-type.ts';

/** Returns the schemas of `workflow`, `version` and `inputs`. @param run what a child is for */
export function childProperties(run: string, inputs: string): Record<string, JsonSchema> {
  return {
    workflow: {
      type: 'string',
      minLength: 1,
      examples: ['order-fulfilment'],
      description: `Instead of \`steps\`: the workflow to start for each ${run}, as a child execution.`,
    },
    version: {
      anyOf: [{ type: 'integer', minimum: 1 }, { type: 'string' }],
      description: 'The version of the workflow. Default: the latest when the child starts.',
    },
    inputs: { description: `The inputs of the child. Default: ${inputs}.` },
  };
}

/** Returns the faults of parameters that hold steps or name a workflow. @param pointer theirs, below \`with\` */
export function faultsOfChoice(written: JsonObject, pointer = ''): ParamFault[] {
  const { steps, workflow } = written;
  if ((steps === undefined) === (workflow === undefined))
    return [{ pointer, message: 'Give "steps" or "workflow": one of them, and not both.' }];
  const wrong = workflow === undefined ? ['version', 'inputs'] : ['output'];
  const needs = workflow === undefined ? 'needs "workflow"' : 'goes with "steps"; a child has its own output';
  return wrong
    .filter((name) => written[name] !== undefined)
    .map((name) => ({ pointer: `${pointer}/${name}`, message: `"${name}" ${needs}.` }));
}
