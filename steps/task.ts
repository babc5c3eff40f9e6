/**
 * `task`: leaves work to a worker outside, which claims it over HTTP, holding none of the engine's.
 */
import type { Json } from '../core/json/json.ts';
import { MAX_QUEUE_LENGTH } from '../core/waits/task-bounds.ts';
import { durationOf, durationSchema, faultsOf, knownDuration } from './measure.ts';
import { Parked, type StepType } from './step-type.ts';

type TaskParams = { queue: string; input?: Json; lease?: number | string };

const DEFAULT_LEASE_MS = 60_000;
const MIN_LEASE_MS = 100;

export const task: StepType<TaskParams> = {
  type: 'task',
  summary: 'Leaves work to a worker outside; what it returns is the output.',
  waitsFor: 'task',
  readsInputs: () => false,
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['queue'],
    properties: {
      queue: {
        description: 'Name of the queue from which workers claim.',
        type: 'string',
        minLength: 1,
        maxLength: MAX_QUEUE_LENGTH,
      },
      input: { description: 'What the worker gets.' },
      lease: durationSchema(
        'How long a worker may be silent before the task is given to another; default 60s.',
        MIN_LEASE_MS,
      ),
    },
  },
  review: (params) => faultsOf({ lease: () => knownDuration(params.lease, 'lease', MIN_LEASE_MS) }),
  run({ params: { queue, input = null, lease } }) {
    const leaseMs = lease === undefined ? DEFAULT_LEASE_MS : durationOf(lease, 'lease', MIN_LEASE_MS);
    return new Parked(null, { input, lease_ms: leaseMs }, { kind: 'task', queue, claimed_by: null });
  },
};
