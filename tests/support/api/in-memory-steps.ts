/**
 * Steps that take every answer, and executions that take every signal, for tests of the API only.
 */
import type { Caller } from '../../../services/caller.ts';
import type { ExplainPort } from '../../../services/explain/answers.ts';
import type { LoadPort } from '../../../services/load/load-answers.ts';
import type { SignalServicePort } from '../../../services/signal-answers.ts';
import type { StepServicePort } from '../../../services/steps/answers.ts';
import type { TaskServicePort } from '../../../services/tasks/task-answers.ts';

const EXECUTION = '0197a3c4-5b6d-7e8f-9012-3456789abcde';

type Record = (name: string, caller: Caller, ...args: unknown[]) => Promise<void>;

export function signalPort(record: Record): SignalServicePort {
  return {
    async send(caller, body) {
      await record('send signal', caller, body);
      return { execution_id: body.execution_id, status: 'running', duplicate: false, kept: false };
    },
  };
}

export function stepPort(record: Record): StepServicePort {
  const answered = (id: string, status: 'completed' | 'failed' | 'skipped') => ({
    id,
    execution_id: EXECUTION,
    key: 'ask',
    status,
  });
  return {
    async get(caller, id) {
      await record('get step', caller, id);
      return [JSON.stringify({ ...answered(id, 'completed'), outputs: null })];
    },
    async complete(caller, id, body) {
      await record('complete step', caller, id, body);
      return answered(id, 'completed');
    },
    async fail(caller, id, body) {
      await record('fail step', caller, id, body);
      return answered(id, 'failed');
    },
    async skip(caller, id, body) {
      await record('skip step', caller, id, body);
      return answered(id, 'skipped');
    },
  };
}

export function taskPort(record: Record): TaskServicePort {
  const ended = (id: string, status: 'completed' | 'failed') => ({
    id,
    execution_id: EXECUTION,
    key: 'task',
    status,
  });
  return {
    async claim(caller, body, waitMs) {
      await record('claim tasks', caller, body, waitMs);
      return ['{"tasks":[]}'];
    },
    async heartbeat(caller, id, token) {
      await record('heartbeat', caller, id, token);
      return { id, lease_seconds: 60 };
    },
    async complete(caller, id, token, output) {
      await record('complete task', caller, id, token, output);
      return ended(id, 'completed');
    },
    async fail(caller, id, token, body) {
      await record('fail task', caller, id, token, body);
      return ended(id, 'failed');
    },
  };
}

export function explainPort(record: Record): ExplainPort {
  return {
    async explain(caller, query) {
      await record('explain', caller, query);
      const summary = `Execution ${query.execution_id} completed. Nothing is left to be done.`;
      const { execution_id } = query;
      return { execution_id, status: 'completed', summary, steps: [], history: null, next_cursor: null };
    },
  };
}

export function loadPort(record: Record): LoadPort {
  return {
    async queues(caller) {
      await record('queues', caller);
      return { data: [], step_types: [], workspaces: [], task_queues: [], next_cursor: null };
    },
    async workers(caller, page) {
      await record('workers', caller, page);
      return { data: [], next_cursor: null };
    },
  };
}
