/**
 * The call that moves executions to another version of their template.
 */
import { z } from '@hono/zod-openapi';
import type { MigrateBody, MigratePort } from '../../services/control/migrate-answers.ts';
import { requireWorkspace } from '../auth.ts';
import type { BodyLimits } from '../body.ts';
import { ExecutionStatusShape, IdShape, VersionShape } from '../execution/bodies.ts';
import type { Router } from '../route.ts';
import { DryRunAskedShape, DryRunShape } from './bodies.ts';
import { BULK_FIELDS, BulkResultShape } from './bulk.ts';

const MigrateShape = z
  .strictObject({
    execution_id: IdShape.optional(),
    ...BULK_FIELDS,
    version: VersionShape.openapi({ description: 'Of the same template.' }),
    map: z
      .record(z.string(), z.string().nullable())
      .optional()
      .openapi({
        description:
          'Keys of the version by those that the execution has, where they differ. Null drops a step that is over.',
        example: { charge: 'pay', legacy: null },
      }),
    dry_run: DryRunAskedShape,
  })
  .refine((body) => (body.execution_id === undefined) !== (body.filter === undefined), {
    error: 'Give exactly one of execution_id and filter.',
    params: { code: 'exactly_one' },
    // Also when another field is wrong, so that all findings come at once.
    when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value),
  })
  .openapi('MigrateExecution') satisfies z.ZodType<MigrateBody>;

const MigratedShape = z
  .object({ execution_id: z.guid(), status: ExecutionStatusShape, version: z.int() })
  .openapi('MigratedExecution');

/** Mounts the call. */
export function addMigrateRoute(router: Router, migrations: MigratePort, limits: BodyLimits): void {
  router.add({
    method: 'post',
    path: '/api/v1/execution/migrate',
    access: 'operator',
    tag: 'Control',
    summary: 'Move an execution to another version of its template',
    description:
      'Steps correspond by key and type. What is over keeps its result; what has not begun is decided by the version. Running handlers go on.',
    body: {
      kind: 'json',
      schema: MigrateShape,
      limits,
      example: { execution_id: '0197a3c4-5b6d-7e8f-9012-3456789abcde', version: 2 },
    },
    responses: {
      200: {
        description: 'Moved, or on that version already, or the answer of a dry run',
        schema: z.union([MigratedShape, BulkResultShape, DryRunShape]),
      },
    },
    errors: [
      'execution_not_found',
      'template_not_found',
      'wrong_state',
      'cannot_migrate',
      'filter_required',
      'join_would_starve',
      'invalid_definition',
      'unavailable',
    ],
    async handle({ body }, { c, identity }) {
      requireWorkspace(identity, body.filter?.workspace_id);
      return c.json(await migrations.migrate(identity, body));
    },
  });
}
