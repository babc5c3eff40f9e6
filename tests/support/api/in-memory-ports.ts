/**
 * Services that keep everything in memory, for tests of the API and the command line only.
 *
 * They answer in the shapes of the real ones and follow a script instead of running steps: each read of an
 * execution shows its next moment, until it is final.
 */

import { randomUUID } from 'node:crypto';
import type { ControlPorts } from '../../../api/control/index.ts';
import type { Json } from '../../../core/json/json.ts';
import { EngineError, type Problem } from '../../../core/problem.ts';
import { type ExecutionStatus, isFinalExecution, type StepStatus } from '../../../core/status.ts';
import { type DefinitionSource, parseSource } from '../../../definition/source.ts';
import { JsonPayload } from '../../../payload/json-payload.ts';
import type { Caller } from '../../../services/caller.ts';
import type { DoctorPort } from '../../../services/doctor/report.ts';
import type {
  ExecutionServicePort,
  ExecutionStatusBody,
  StartItem,
  StartResult,
  StepStatusBody,
  StopResult,
} from '../../../services/execution-answers.ts';
import type { ExplainPort } from '../../../services/explain/answers.ts';
import type { LoadPort } from '../../../services/load/load-answers.ts';
import type { SignalServicePort } from '../../../services/signal-answers.ts';
import type { StepServicePort } from '../../../services/steps/answers.ts';
import type { TaskServicePort } from '../../../services/tasks/task-answers.ts';
import type { TemplateBody } from '../../../services/template-answers.ts';
import type { TemplateServicePort } from '../../../services/template-port.ts';
import { controlPorts } from './in-memory-control.ts';
import { doctorPort } from './in-memory-doctor.ts';
import { explainPort, loadPort, signalPort, stepPort, taskPort } from './in-memory-steps.ts';

const NOW = '2027-01-31T08:00:00.000Z';

export interface Definition {
  name: string;
  steps: Record<string, { type: string }>;
}

interface Kept {
  id: string;
  caller: Caller;
  item: StartItem;
  template: string;
  moment: number;
  forced: ExecutionStatus | null;
  stepIds: string[];
}

export interface InMemoryPorts {
  templates: TemplateServicePort;
  executions: ExecutionServicePort;
  control: ControlPorts;
  explainer: ExplainPort;
  load: LoadPort;
  doctor: DoctorPort;
  steps: StepServicePort;
  signals: SignalServicePort;
  tasks: TaskServicePort;
  /** Every call that reached a service: its name and arguments without the caller. */
  calls: { name: string; caller: Caller; args: unknown[] }[];
  /** Called in front of every service call; throws what it should answer with. */
  before: (name: string) => void | Promise<void>;
}

/** A template with a step `fail` fails at that step; all others complete with `{ done: true }`. */
export function createInMemoryPorts(): InMemoryPorts {
  const published = new Map<string, Definition[]>();
  const kept = new Map<string, Kept>();
  const ports: InMemoryPorts = {
    calls: [],
    before: () => {},
    templates: templatePort(published, record),
    executions: executionPort(published, kept, record),
    explainer: explainPort(record),
    load: loadPort(record),
    doctor: doctorPort(record),
    steps: stepPort(record),
    signals: signalPort(record),
    tasks: taskPort(record),
    control: controlPorts(record),
  };
  async function record(name: string, caller: Caller, ...args: unknown[]): Promise<void> {
    ports.calls.push({ name, caller, args });
    await ports.before(name);
  }
  return ports;
}

/** As small as the definitions of the tests are. */
function documentOf(source: DefinitionSource): unknown {
  return parseSource(source, { maxDepth: 64, maxBytes: 5_000 });
}

type Recorder = (name: string, caller: Caller, ...args: unknown[]) => Promise<void>;

function templatePort(published: Map<string, Definition[]>, record: Recorder): TemplateServicePort {
  return {
    async publish(caller, source) {
      const document = documentOf(source);
      await record('publish', caller, document);
      const definition = requireDefinition(document);
      const versions = published.get(definition.name) ?? [];
      const created = JSON.stringify(versions.at(-1)) !== JSON.stringify(definition);
      if (created) published.set(definition.name, [...versions, definition]);
      const steps = Object.keys(definition.steps).map((key) => ({ id: randomUUID(), key }));
      const version = published.get(definition.name)!.length;
      const result = {
        workflow_template_id: randomUUID(),
        name: definition.name,
        version,
        steps,
        warnings: [],
      };
      return { created, result };
    },
    async validate(caller, source) {
      const document = documentOf(source);
      await record('validate', caller, document);
      const errors = findErrors(document);
      return { valid: errors.length === 0, errors, warnings: [] };
    },
    async get(caller, name, version) {
      await record('get', caller, name, version);
      const versions = published.get(name) ?? [];
      const definition = versions[(version ?? versions.length) - 1];
      if (definition === undefined)
        throw new EngineError('template_not_found', `There is no template "${name}".`);
      return templateBody(definition, version ?? versions.length);
    },
    async list(caller, page) {
      await record('list', caller, page);
      return {
        data: [...published.values()].map((all) => templateBody(all.at(-1)!, all.length)),
        next_cursor: null,
      };
    },
    async archive(caller, name) {
      await record('archive', caller, name);
      if (!published.delete(name))
        throw new EngineError('template_not_found', `There is no template "${name}".`);
    },
  };
}

function executionPort(
  published: Map<string, Definition[]>,
  kept: Map<string, Kept>,
  record: Recorder,
): ExecutionServicePort {
  const start = (caller: Caller, item: StartItem): StartResult => {
    const same = [...kept.values()].find(
      (one) => item.idempotency_key && one.item.idempotency_key === item.idempotency_key,
    );
    if (same) return { execution_id: same.id, status: 'running', created: false };
    const template = item.template ?? '';
    const definition = published.get(template)?.at(-1);
    if (definition === undefined)
      throw new EngineError('template_not_found', `There is no template "${template}".`);
    const id = randomUUID();
    kept.set(id, {
      id,
      caller,
      item,
      template,
      moment: 0,
      forced: null,
      stepIds: Object.keys(definition.steps).map(() => randomUUID()),
    });
    return { execution_id: id, status: 'pending', created: true };
  };
  const find = (id: string): Kept => {
    const found = kept.get(id);
    if (found === undefined) throw new EngineError('execution_not_found', `There is no execution ${id}.`);
    return found;
  };
  const end = (id: string): StopResult => {
    const execution = find(id);
    execution.forced = 'cancelled';
    return { execution_id: id, status: 'cancelled', stop_requested: true };
  };
  return {
    async start(caller, item) {
      await record('start', caller, item);
      return start(caller, item);
    },
    async startMany(caller, items) {
      await record('startMany', caller, items);
      return items.map((item) => start(caller, item));
    },
    async status(caller, id, options) {
      await record('status', caller, id, options);
      const execution = find(id);
      const definition = published.get(execution.template)!.at(-1)!;
      const body = statusBody(execution, definition, options.includeOutputs);
      return { status: body.status, json: [JSON.stringify(body)] };
    },
    async stop(caller, id, reason) {
      await record('stop', caller, id, reason);
      return end(id);
    },
    async cancel(caller, id, reason) {
      await record('cancel', caller, id, reason);
      return end(id);
    },
    async scopes(caller, query) {
      await record('scopes', caller, query);
      find(query.execution_id);
      return { data: [], next_cursor: null };
    },
    async list(caller, filter) {
      await record('listExecutions', caller, filter);
      const data = [...kept.values()].map(({ id, template, item }) => ({
        execution_id: id,
        status: 'running' as const,
        template,
        version: 1,
        workspace_id: null,
        user_id: null,
        tags: item.tags ?? [],
        error: null,
        created_at: NOW,
        started_at: NOW,
        completed_at: null,
        parent: null,
        root_execution_id: id,
        forked_from: null,
      }));
      return { data, next_cursor: null };
    },
  };
}

function findErrors(document: unknown): Problem[] {
  const { name, steps } = (document ?? {}) as Partial<Definition>;
  const errors: Problem[] = [];
  if (typeof name !== 'string')
    errors.push({ pointer: '/name', code: 'missing_field', message: 'name is missing.' });
  for (const [key, step] of Object.entries(steps ?? {})) {
    if (step.type !== 'nope') continue;
    errors.push({
      pointer: `/steps/${key}/type`,
      code: 'unknown_step_type',
      message: 'There is no step type "nope".',
    });
  }
  return errors;
}

function requireDefinition(document: unknown): Definition {
  const errors = findErrors(document);
  if (errors.length > 0) throw new EngineError('invalid_definition', 'The definition is not valid.', errors);
  return document as Definition;
}

function templateBody(definition: Definition, version: number): TemplateBody {
  return {
    workflow_template_id: randomUUID(),
    name: definition.name,
    version,
    description: null,
    created_at: NOW,
    definition: { name: definition.name },
    steps: [],
    archived_at: null,
  };
}

/** At moment n the first n steps have ended and the next one runs. */
function statusBody(execution: Kept, definition: Definition, includeOutputs: boolean): ExecutionStatusBody {
  const keys = Object.keys(definition.steps);
  const moment = execution.moment++;
  const failing = keys.indexOf('fail');
  const ended = Math.min(moment, failing < 0 ? keys.length : failing + 1);
  const failed = failing >= 0 && ended === failing + 1;
  const status = execution.forced ?? (failed ? 'failed' : ended === keys.length ? 'completed' : 'running');
  const steps = keys.map((key, index) =>
    stepBody(
      execution.stepIds[index]!,
      key,
      definition.steps[key]!.type,
      stepStatus(index, ended, status, key),
    ),
  );
  if (includeOutputs)
    for (const step of steps) step.outputs = step.status === 'completed' ? { key: step.key } : null;
  const count = (...statuses: StepStatus[]) => steps.filter((step) => statuses.includes(step.status)).length;
  return {
    execution_id: execution.id,
    status,
    uncertain: [],
    not_undone: [],
    stop_requested: execution.forced !== null,
    paused_by: null,
    template: definition.name,
    version: 1,
    inputs: inputsOf(execution.item.inputs),
    outputs: status === 'completed' ? { done: true } : null,
    error: failed ? { code: 'failed', message: 'It was told to fail.', step: 'fail' } : null,
    progress: {
      total: steps.length,
      completed: count('completed'),
      failed: count('failed'),
      skipped: 0,
      cancelled: count('cancelled'),
      running: count('running'),
      waiting: count('waiting_inputs'),
      queued: 0,
    },
    steps,
    parent: null,
    root_execution_id: execution.id,
    forked_from: null,
    created_at: NOW,
    started_at: NOW,
    completed_at: isFinalExecution(status) ? NOW : null,
    resume_at: null,
  };
}

function inputsOf(inputs: StartItem['inputs']): Json {
  return inputs instanceof JsonPayload ? inputs.value : (inputs ?? {});
}

function stepStatus(index: number, ended: number, status: ExecutionStatus, key: string): StepStatus {
  if (index < ended) return key === 'fail' ? 'failed' : 'completed';
  if (isFinalExecution(status)) return 'cancelled';
  return index === ended ? 'running' : 'waiting_inputs';
}

function stepBody(id: string, key: string, type: string, status: StepStatus): StepStatusBody {
  return {
    id,
    key,
    type,
    scope: '',
    depth: 0,
    status,
    attempt_count: 1,
    required_inputs: 0,
    received_inputs: [],
    error: status === 'failed' ? { code: 'failed', message: 'It was told to fail.', details: null } : null,
    created_at: NOW,
    started_at: NOW,
    completed_at: NOW,
    resume_at: null,
    waiting_for: null,
  };
}
