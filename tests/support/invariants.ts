/**
 * The last assertion of every integration test: the doctor finds nothing, without grace and in everything there is.
 *
 * Only a job that nothing awaits any more may be there for a moment: when its step was claimed in memory while the
 * job was being fetched, it is put back, and dropped by the engine that fetches it next.
 *
 * It is asked as the product asks it, from outside the engines. Two of its invariants are about the server and about
 * whoever else uses the database at that moment: on the shared server of the tests they say nothing.
 */
import pg from 'pg';
import type { LintContext } from '../../definition/lint/context.ts';
import { examineDatabase } from '../../services/doctor/doctor.ts';
import { createStepTypes } from '../../steps/registry.ts';
import type { StepType } from '../../steps/step-type.ts';
import { compileContext, lintContext } from '../../template/context.ts';
import { TemplateVersions } from '../../template/versions.ts';
import { recordingSteps } from './steps/recording.ts';
import { until } from './until.ts';

/** What may be broken on the server of the tests. */
export const OF_THE_SERVER: readonly string[] = ['database-not-durable', 'session-with-old-snapshot'];

/** That nothing is left to do is known to tests alone. */
const over = (pgbossSchema: string): Readonly<Record<string, string>> => ({
  'an execution is not final': `
    select id from workflow_executions where status not in ('completed', 'failed', 'cancelled', 'timed_out')`,
  'a job is left': `select id from ${pgbossSchema}.job where data ->> 'execution_id' is not null`,
});

export interface InvariantOptions {
  /** Whether everything must be over: no execution that is not final, and no job at all. */
  readonly allFinal?: boolean;
  /** Step types of the engines besides the recording ones. */
  readonly extra?: readonly StepType[];
  readonly pgbossSchema?: string;
  /** Names of invariants that may be broken. */
  readonly accept?: readonly string[];
}

const STALE_JOBS = /^(a job is left|job-of-final-step|job-of-final-execution|job-not-awaited): /;
/** The connection of the examination itself was ended, in a process that was too busy to go on with it. */
const CUT_SHORT =
  /idle-in-transaction timeout|Connection terminated|Client has encountered a connection error/;
const MAX_ASKED = 200;

/**
 * Throws an Error that lists what does not hold. To be asked while an engine runs: a job that was being fetched when its
 * step ended is dropped by the one that fetches it next.
 */
export async function assertInvariants(url: string, options: InvariantOptions = {}): Promise<void> {
  let findings: string[] = [];
  let asked = 0;
  await until(async () => {
    findings = await findBroken(url, options);
    asked += 1;
    return asked === MAX_ASKED || !passes(findings);
  });
  if (findings.length > 0) throw new Error(`Invariants are broken:\n${findings.join('\n')}`);
}

/** Whether all findings are of a kind that passes. */
const passes = (findings: readonly string[]) =>
  findings.length > 0 &&
  findings.every(
    (finding) => STALE_JOBS.test(finding) || / job_stray: /.test(finding) || CUT_SHORT.test(finding),
  );

async function findBroken(url: string, options: InvariantOptions): Promise<string[]> {
  const { allFinal = true, extra = [], pgbossSchema = 'pgboss', accept = [] } = options;
  const left = await findLeft(url, allFinal ? over(pgbossSchema) : {});
  const request = { everything: true, graceSeconds: 0, accept: [...OF_THE_SERVER, ...accept] };
  const sources = { url, pgbossSchema, versions: templateVersions(url, extra) };
  const { offenders, unanswered } = await examineDatabase(sources, request);
  return [
    ...left,
    ...[...offenders].map(([{ name }, { count, rows }]) => {
      const examples = rows.map(({ id, executionId, detail }) => `\n  ${id} of ${executionId}: ${detail}`);
      return `${name}: ${count} times, as${examples.join('')}`;
    }),
    ...unanswered.map(({ name, reason }) => `${name} was not answered: ${reason}`),
  ];
}

async function findLeft(url: string, wrong: Readonly<Record<string, string>>): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'test/invariants' });
  await client.connect();
  try {
    const findings: string[] = [];
    for (const [what, text] of Object.entries(wrong)) {
      const { rows } = await client.query(text);
      if (rows.length === 0) continue;
      const examples = rows.slice(0, 3).map(({ id }) => id);
      findings.push(`${what}: ${rows.length} times, as ${examples.join(', ')}`);
    }
    return findings;
  } finally {
    await client.end();
  }
}

/** Compiled as an engine with these and the recording step types compiles them. */
export function templateVersions(url: string, extra: readonly StepType[] = []): TemplateVersions {
  const lint = lintOfTests(url, extra);
  return new TemplateVersions(compileContext(lint, lint.stepTypes as ReadonlyMap<string, StepType>));
}

export function lintOfTests(url: string, extra: readonly StepType[] = []): LintContext {
  const stepTypes = createStepTypes({
    http: { allow: [], maxResponseBytes: 1, timeoutMs: 1 },
    script: { timeoutMs: 1, memoryBytes: 1 },
    extra: [...recordingSteps(url, 'invariants'), ...extra],
  });
  return lintContext(stepTypes, { maxSteps: 100_000, maxDepth: 512 }, []);
}
