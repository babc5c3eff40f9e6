/**
 * The doctor's calls: the check of the invariants, and the repair of broken ones.
 */
import { z } from '@hono/zod-openapi';
import type { DoctorPort, DoctorReport, DoctorRequest } from '../services/doctor/report.ts';
import { type BodyLimits, few } from './body.ts';
import type { Router } from './route.ts';

const TAG = 'Administration';
const MAX_GRACE_SECONDS = 86_400;
const GRACE = 'Seconds for which something must have been so. Default: a time that suits each invariant.';
const EVERYTHING = 'Also final executions that are older than an hour, and every execution as a whole.';
const ACCEPT = 'Names of invariants that may be broken here';

const NameShape = z.string().min(1).max(100);

const QueryShape = z.strictObject({
  everything: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .openapi({ type: 'boolean', description: EVERYTHING }),
  grace_seconds: z
    .string()
    .regex(/^\d{1,5}$/, { error: `expected a whole number from 0 to ${MAX_GRACE_SECONDS}` })
    .transform(Number)
    .pipe(z.int().max(MAX_GRACE_SECONDS))
    .optional()
    .openapi({ type: 'integer', minimum: 0, maximum: MAX_GRACE_SECONDS, description: GRACE }),
  accept: z
    .string()
    .max(4_000)
    .transform((value) => value.split(',').filter(Boolean))
    .optional()
    .openapi({ type: 'string', description: `${ACCEPT}, separated by commas.` }),
});

const RepairShape = z
  .strictObject({
    everything: z.boolean().optional().openapi({ description: EVERYTHING }),
    grace_seconds: z.int().min(0).max(MAX_GRACE_SECONDS).optional().openapi({ description: GRACE }),
    accept: z
      .array(NameShape)
      .max(100)
      .optional()
      .openapi({ description: `${ACCEPT}.` }),
  })
  .openapi('RepairDatabase');

const FindingShape = z
  .object({
    invariant: z.string(),
    meaning: z.string(),
    advice: z.string(),
    count: z.int(),
    examples: z
      .array(z.object({ id: z.string(), execution_id: z.string().nullable(), detail: z.string() }))
      .openapi({ description: 'At most ten.' }),
  })
  .openapi('DoctorFinding');

const ReportShape = z
  .object({
    ok: z.boolean().openapi({ description: 'Every invariant was looked at and holds.' }),
    findings: z.array(FindingShape),
    repaired: z.array(z.object({ invariant: z.string(), count: z.int() })),
    checked: z.array(z.string()),
    unanswered: z.array(z.object({ invariant: z.string(), reason: z.string() })),
  })
  .openapi('DoctorReport') satisfies z.ZodType<DoctorReport>;

/** Mounts the doctor's calls. */
export function addDoctorRoutes(
  router: Router,
  { doctor, limits }: { doctor: DoctorPort; limits: BodyLimits },
): void {
  router.add({
    method: 'get',
    path: '/admin/doctor',
    access: 'engine',
    tag: TAG,
    summary: 'Check the invariants of the design',
    description: 'Reads one snapshot and changes nothing. `findings` is empty when every invariant holds.',
    query: QueryShape,
    responses: { 200: { description: 'What was found', schema: ReportShape } },
    errors: ['unavailable'],
    async handle({ query }, { c }) {
      return c.json(await doctor.examine(requestOf(query)));
    },
  });
  router.add({
    method: 'post',
    path: '/admin/doctor/repair',
    access: 'engine',
    tag: TAG,
    summary: 'Repair what breaks the invariants',
    description:
      'Puts right what can be put right without a guess, the way the engine would, and answers what is left then.',
    body: { kind: 'json', schema: RepairShape, optional: true, limits: few(limits) },
    responses: { 200: { description: 'What is left, and what was repaired', schema: ReportShape } },
    errors: ['unavailable'],
    async handle({ body }, { c }) {
      return c.json(await doctor.repair(requestOf(body)));
    },
  });
}

function requestOf({ everything, grace_seconds, accept }: z.output<typeof RepairShape>): DoctorRequest {
  return { everything: everything ?? false, graceSeconds: grace_seconds ?? null, accept: accept ?? [] };
}
