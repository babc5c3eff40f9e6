/**
 * `wait`: waits for a signal, holding no worker.
 */

import { SIGNAL_BOUNDS } from '../core/waits/signal-bounds.ts';
import { durationSchema, faultsOf, knownDuration } from './measure.ts';
import { Parked, type StepType } from './step-type.ts';

type WaitParams = { signal: string };

export const wait: StepType<WaitParams> = {
  type: 'wait',
  summary: 'Waits for a signal; its payload is the output.',
  waitsFor: 'signal',
  timeoutIn: 'timeout',
  schemaIn: 'schema',
  deferred: ['/schema'],
  readsInputs: () => false,
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['signal'],
    properties: {
      signal: {
        description: 'Name of the signal.',
        type: 'string',
        minLength: 1,
        maxLength: SIGNAL_BOUNDS.maxNameLength,
      },
      timeout: durationSchema(
        'How long to wait at most; the step then fails with `timeout`. Default: for ever.',
        1,
      ),
      schema: {
        description: 'JSON Schema 2020-12 of the payload. It is not evaluated.',
        anyOf: [{ type: 'object' }, { type: 'boolean' }],
      },
    },
  },
  review: (params) => faultsOf({ timeout: () => knownDuration(params.timeout, 'timeout', 1) }),
  run: ({ params }) => new Parked(null, null, { kind: 'signal', name: params.signal }),
};
