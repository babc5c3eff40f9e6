/**
 * `merge`: joins the outputs of several branches into one value.
 *
 * It sees the inputs that were live when the join was decided, in the order of `needs`. It never waits itself: `join`
 * does that.
 */
import { isObject, type Json, type JsonObject } from '../core/json/json.ts';
import { StepFailure, type StepType } from './step-type.ts';

type Inputs = Readonly<Record<string, Json>>;
type MergeParams = { mode?: 'collect' | 'combine' | 'append' };

/** A shallow merge in which later inputs win. Built from entries, so that a `__proto__` key stays a plain key. */
function combine(inputs: Inputs): JsonObject {
  const entries = Object.entries(inputs).flatMap(([key, output]) => {
    if (isObject(output)) return Object.entries(output);
    const found = Array.isArray(output) ? 'an array' : output === null ? 'null' : `a ${typeof output}`;
    throw new StepFailure(
      'merge_not_an_object',
      `mode "combine" merges objects, but the output of "${key}" is ${found}: use mode "collect" or "append", or make "${key}" return an object`,
      { details: { step: key } },
    );
  });
  return Object.fromEntries(entries) as JsonObject;
}

export const merge: StepType<MergeParams> = {
  type: 'merge',
  summary: 'Joins the outputs of several branches into one value.',
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      mode: {
        enum: ['collect', 'combine', 'append'],
        default: 'collect',
        description:
          'collect: { <key>: output } in the order of needs. combine: a shallow merge of objects, later ones win. append: one array; arrays are flattened one level.',
      },
    },
  },
  passesInputs: (params) => ['collect', 'append'].includes((params?.mode ?? 'collect') as string),
  run({ params, inputs }) {
    switch (params.mode ?? 'collect') {
      case 'collect':
        return inputs;
      case 'combine':
        return combine(inputs);
      case 'append':
        return Object.values(inputs).flat(1);
    }
  },
};
