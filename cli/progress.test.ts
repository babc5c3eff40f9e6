/** The progress of a run, on a terminal and elsewhere. */
import { describe, expect, test } from 'bun:test';
import type { StepStatus } from '../core/status.ts';
import type { ExecutionStatusBody, StepStatusBody } from '../services/execution-answers.ts';
import { createProgress } from './progress.ts';

const AT = '2027-01-31T08:00:00.000Z';

function step(key: string, status: StepStatus, more: Partial<StepStatusBody> = {}): StepStatusBody {
  const base = {
    id: key,
    key,
    type: 'noop',
    scope: '',
    depth: 0,
    status,
    attempt_count: 1,
    required_inputs: 0,
  };
  return {
    ...base,
    received_inputs: [],
    error: null,
    created_at: AT,
    started_at: null,
    completed_at: null,
    resume_at: null,
    waiting_for: null,
    ...more,
  };
}

function execution(steps: StepStatusBody[]): ExecutionStatusBody {
  const count = (status: StepStatus) => steps.filter((one) => one.status === status).length;
  const progress = {
    total: steps.length,
    completed: count('completed'),
    failed: count('failed'),
    skipped: 0,
    cancelled: 0,
  };
  const rest = { running: count('running'), waiting: 0, queued: 0 };
  return {
    execution_id: 'x',
    status: 'running',
    stop_requested: false,
    paused_by: null,
    template: 't',
    version: 1,
    inputs: null,
    outputs: null,
    error: null,
    progress: { ...progress, ...rest },
    uncertain: [],
    not_undone: [],
    steps,
    parent: null,
    root_execution_id: 'x',
    forked_from: null,
    created_at: AT,
    started_at: AT,
    completed_at: null,
    resume_at: null,
  };
}

function screen(shape: { isTTY?: boolean; columns?: number; rows?: number }, now?: () => number) {
  const written: string[] = [];
  const stream = { write: (text: string) => written.push(text), ...shape } as unknown as NodeJS.WriteStream;
  return { progress: createProgress(stream, now), written };
}

describe('elsewhere than on a terminal', () => {
  test('one line tells each transition, once, without any escape', () => {
    const { progress, written } = screen({});
    progress.show(execution([step('a', 'running'), step('b', 'waiting_inputs')]));
    progress.show(execution([step('a', 'running'), step('b', 'waiting_inputs')]));
    progress.show(
      execution([
        step('a', 'completed', { started_at: AT, completed_at: '2027-01-31T08:00:01.500Z' }),
        step('b', 'running'),
      ]),
    );
    progress.close();
    expect(written.join('')).toBe('running a\ncompleted a  1.5s\nrunning b\n');
  });

  test('a failure tells its code, its attempts and its message, without what moves the cursor', () => {
    const { progress, written } = screen({});
    const error = { code: 'http_status', message: 'got \u001b[2J500\r\nbye', details: null };
    progress.show(execution([step('a', 'failed', { error, attempt_count: 3 })]));
    expect(written.join('')).toBe('failed a  3 attempts  http_status: got \\u001b[2J500\\r\\nbye\n');
  });
});

test('the compensation of a step has lines of its own', () => {
  const { progress, written } = screen({});
  const undo = (status: StepStatus) => ({
    compensation: { id: 'u', status, attempt_count: 1, error: null, completed_at: null },
  });
  progress.show(execution([step('pay', 'completed')]));
  for (const status of ['queued', 'running', 'completed'] as const)
    progress.show(execution([step('pay', 'completed', undo(status))]));
  expect(written.join('')).toBe('completed pay\nrunning pay (undo)\ncompleted pay (undo)\n');
});

describe('a step that does not run at once', () => {
  const later = '2027-01-31T08:01:00.000Z';

  test('tells its next attempt or the end of its wait, and each attempt anew', () => {
    const { progress, written } = screen({});
    const error = { code: 'http_status', message: 'got 500', details: null };
    progress.show(execution([step('a', 'retrying', { error, resume_at: later })]));
    progress.show(execution([step('a', 'retrying', { error, resume_at: later, attempt_count: 2 })]));
    progress.show(execution([step('b', 'waiting', { resume_at: later })]));
    expect(written.join('').split('\n')).toEqual([
      `retrying a  next attempt ${later}  http_status: got 500`,
      `retrying a  2 attempts  next attempt ${later}  http_status: got 500`,
      `waiting b  until ${later}`,
      '',
    ]);
  });

  test('is told once as queued when it stays so, with others in one line', () => {
    let time = 0;
    const { progress, written } = screen({}, () => time);
    const queued = Array.from({ length: 7 }, (_, index) => step(`s${index}`, 'queued'));
    for (time of [0, 2_999]) progress.show(execution(queued));
    expect(written).toEqual([]);
    for (time of [3_000, 9_000]) progress.show(execution(queued));
    expect(written.join('')).toBe(
      'queued s0, s1, s2, s3, s4 and 2 more  for 3 s: held by a limit, or no engine has room\n',
    );
    progress.show(execution([step('s0', 'running'), ...queued.slice(1)]));
    for (time of [10_000, 14_000]) progress.show(execution(queued));
    expect(written.join('').trimEnd().split('\n').slice(1)).toEqual([
      'running s0',
      'queued s0  for 3 s: held by a limit, or no engine has room',
    ]);
  });

  test('says what holds it, for those that wait for the same in one line', () => {
    let time = 0;
    const { progress, written } = screen({}, () => time);
    const limit = { waiting_for: { kind: 'limit', key: 'crm', limit: 3 } };
    const type = { waiting_for: { kind: 'step_type', type: 'sms' } };
    const queued = [step('a', 'queued', limit), step('b', 'queued', type), step('c', 'queued', limit)];
    for (time of [0, 3_000]) progress.show(execution(queued));
    expect(written.join('')).toBe(
      'queued a, c  for 3 s: waits for the limit "crm" of 3\nqueued b  for 3 s: waits for an engine that has the step type "sms"\n',
    );
  });

  test.each([
    [{ kind: 'signal', name: 'paid' }, 'for the signal "paid"'],
    [{ kind: 'form', title: 'Approve', assignees: [] }, 'for an answer to the form "Approve"'],
    [{ kind: 'webhook', url: 'http://x/hooks/1' }, 'for a request to http://x/hooks/1'],
    [{ kind: 'webhook', url: null }, 'for a request to its URL'],
    [{ kind: 'task', queue: 'images', claimed_by: null }, 'for a worker of the queue "images"'],
    [{ kind: 'task', queue: 'images', claimed_by: 'w1' }, 'for the worker "w1"'],
    [{ kind: 'child', execution_id: 'y' }, 'for the execution y'],
    [{ kind: 'scopes', open: 3 }, 'for its scopes, 3 open'],
  ])('that waits says for what: %j', (waiting_for, text) => {
    const { progress, written } = screen({});
    progress.show(execution([step('a', 'waiting', { waiting_for, resume_at: later })]));
    expect(written.join('')).toBe(`waiting a  ${text}, until ${later}\n`);
  });

  test('that has used up its retries says who ends it', () => {
    const { progress, written } = screen({});
    const waiting_for = { kind: 'incident', id: '1' };
    progress.show(execution([step('a', 'retrying', { waiting_for, resume_at: null })]));
    expect(written.join('')).toBe('retrying a  for somebody to decide: its retries are used up\n');
  });

  test('has its line on a terminal too', () => {
    let time = 0;
    const { progress, written } = screen({ isTTY: true, columns: 80, rows: 24 }, () => time);
    for (time of [0, 5_000]) progress.show(execution([step('a', 'queued')]));
    expect(written.at(-1)).toContain('  queued a\n[');
  });

  test('of an execution that begins later is no silence', () => {
    const { progress, written } = screen({});
    for (let look = 0; look < 2; look++)
      progress.show({ ...execution([]), status: 'pending', resume_at: later });
    expect(written.join('')).toBe(`pending  until ${later}\n`);
  });
});

describe('on a terminal', () => {
  test('ended steps scroll by above a bar that is redrawn in place', () => {
    const { progress, written } = screen({ isTTY: true, columns: 80, rows: 24 });
    progress.show(execution([step('a', 'running'), step('b', 'waiting_inputs')]));
    expect(written.at(-1)).toBe('  running a\n[------------------------] 0/2 steps, 1 running\n');
    progress.show(execution([step('a', 'completed'), step('b', 'running')]));
    expect(written.at(-1)).toStartWith('\u001b[2A\u001b[J');
    expect(written.at(-1)).toEndWith('  running b\n[############------------] 1/2 steps, 1 running\n');
    progress.close();
    expect(written.at(-1)).toBe('\u001b[2A\u001b[J');
  });

  test('a thousand running steps do not fill more than the screen, and no line wraps', () => {
    const { progress, written } = screen({ isTTY: true, columns: 20, rows: 5 });
    const many = Array.from({ length: 1_000 }, (_, index) => step(`a-rather-long-name-${index}`, 'running'));
    progress.show(execution(many));
    const lines = written.at(-1)!.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line.length).toBeLessThan(20);
  });
});
