/**
 * The requests and answers of graphs and states, as schemas.
 */
import { z } from '@hono/zod-openapi';
import type { GraphBody, StateBody } from '../../services/reading/reading-answers.ts';
import { ExecutionStatusShape, IdShape, InstantShape } from '../execution/bodies.ts';

const IntsShape = z.array(z.int());
const OnShape = z.enum(['success', 'failure', 'always']);
const RouteShape = z.union([z.string(), z.array(z.string()), z.null()]);

export const GraphShape = z
  .object({
    hash: z.string().openapi({ description: 'SHA-256 of the graph.' }),
    keys: z.array(z.string()).openapi({ description: 'By position, like every column of steps.' }),
    types: z.array(z.string()),
    type: IntsShape.openapi({ description: 'Places in `types`.' }),
    depth: IntsShape,
    rank: IntsShape,
    join: z.array(z.union([z.literal('all'), z.object({ at_least: z.int(), cancel_losers: z.boolean() })])),
    from: IntsShape.openapi({ description: 'By edge, like every column of edges: a position.' }),
    to: IntsShape,
    on: z.array(z.union([OnShape, z.array(OnShape)])).openapi({
      description: 'A list where several entries of `needs` are one edge, and `route` then, too.',
    }),
    route: z.array(z.union([RouteShape, z.array(RouteShape)])),
    scopes: z
      .array(z.looseObject({ key: z.string(), part: z.int() }))
      .openapi({ description: 'Of steps that hold steps: `key`, `part` and the `graph` of each scope.' }),
  })
  .openapi('Graph') as unknown as z.ZodType<GraphBody>;

export const StateQueryShape = z.strictObject({
  execution_id: IdShape,
  scope: z.string().min(1).max(2_000).optional().openapi({
    description: 'A scope such as `each[3]`; default: the top level.',
    example: 'each[3]',
  }),
  include: z.literal('ids').optional().openapi({ description: 'Adds the `ids` of the steps.' }),
});

const MsShape = IntsShape.openapi({ description: 'Milliseconds since `t0`; -1: not yet.' });

export const StateShape = z
  .object({
    execution_id: z.guid(),
    sequence: z.int(),
    status: ExecutionStatusShape,
    stop_requested: z.boolean(),
    template: z.string(),
    version: z.int(),
    graph_hash: z.string().openapi({ description: '`hash` of the graph that has these positions.' }),
    t0: InstantShape,
    status_of: z.string().openapi({
      description:
        'A letter by position: `.` no row, `i` waiting_inputs, `q` queued, `r` running, `w` waiting, `t` retrying, `c` completed, `f` failed, `s` skipped, `x` cancelled.',
    }),
    attempts: IntsShape,
    created: MsShape,
    started: MsShape,
    ended: MsShape,
    edges: z.string().openapi({ description: 'A letter by edge: `.` open, `l` live, `d` dead.' }),
    waits: z
      .record(z.string(), z.tuple([z.string(), z.string()]))
      .openapi({ description: 'By position: kind and text of what the step waits for.' }),
    scopes: z.record(
      z.string(),
      z.object({
        total: z.int(),
        completed: z.int(),
        failed: z.int(),
        running: z.int(),
        waiting: z.int(),
        cancelled: z.int(),
      }),
    ),
    ids: z.array(z.guid().nullable()).optional(),
  })
  .openapi('ExecutionState') as unknown as z.ZodType<StateBody>;
