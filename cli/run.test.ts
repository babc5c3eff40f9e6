/** Following an execution over an engine that comes and goes. */
import { expect, test } from 'bun:test';
import { EngineProblem, EngineUnreachable } from '../client/engine-client.ts';
import type { ExecutionStatusBody } from '../services/service-types.ts';
import { follow } from './run.ts';

const quiet = () => {
  const notes: string[] = [];
  return {
    notes,
    progress: { show: () => {}, note: (text: string) => void notes.push(text), close: () => {} },
  };
};

test('an engine that restarts is waited for, and told about once', async () => {
  const { notes, progress } = quiet();
  const away = () => Promise.reject(new EngineUnreachable('http://localhost:1', 'connection refused'));
  const answers = [away, away, () => Promise.resolve({ status: 'completed' } as ExecutionStatusBody)];
  const execution = await follow({ status: () => answers.shift()!() }, 'x', progress);
  expect(execution.status).toBe('completed');
  expect(notes).toEqual(['the engine is away; waiting for it to come back']);
});

test('an engine that says no ends it', async () => {
  const { progress } = quiet();
  const problem = new EngineProblem(404, { code: 'execution_not_found', detail: 'gone' });
  await expect(follow({ status: () => Promise.reject(problem) }, 'x', progress)).rejects.toBe(problem);
});
