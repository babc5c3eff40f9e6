/**
 * The benchmark's own HTTP client: starts and watches executions the way a main server would.
 */

import { MAX_ITEMS, type Workload } from '../workloads.ts';
import { inFlight } from './protocol.ts';

/** Start-many calls that are under way at a time. */
const CALLS_IN_FLIGHT = 2;
const HEADERS = { 'content-type': 'application/json' };

export async function publishOver(url: string, workload: Workload): Promise<string> {
  const { name } = await post<{ name: string }>(
    `${url}/api/v1/templates`,
    JSON.stringify(workload.definition),
  );
  return name;
}

/** Starts executions in calls of up to 1,000; `urls` take turns, and each gets its share. */
export async function startManyOver(
  urls: readonly string[],
  template: string,
  workload: Workload,
  executions: number,
): Promise<void> {
  const item = { template, ...(workload.inputs === undefined ? {} : { inputs: workload.inputs }) };
  const most = Math.min(MAX_ITEMS, Math.ceil(executions / urls.length));
  const calls = Math.ceil(executions / most);
  const bodyOf = (count: number) => JSON.stringify({ items: Array.from({ length: count }, () => item) });
  const full = bodyOf(most);
  await inFlight(calls, CALLS_IN_FLIGHT * urls.length, async (at) => {
    const count = Math.min(most, executions - at * most);
    const body = count === most ? full : bodyOf(count);
    await post(`${urls[at % urls.length]}/api/v1/execution/start-many`, body);
  });
}

/** The start's answer. */
export async function startOver(url: string, body: string): Promise<string> {
  const { execution_id } = await post<{ execution_id: string }>(`${url}/api/v1/execution/start`, body);
  return execution_id;
}

/** Resolves when the execution is final; throws when it did not complete. */
export async function untilCompleted(url: string, executionId: string): Promise<void> {
  const answer = await fetch(`${url}/api/v1/execution/status?execution_id=${executionId}&wait=30s`);
  const { status } = (await answer.json()) as { status: string };
  if (status !== 'completed') throw new Error(`An execution ended ${status}`);
}

async function post<T>(url: string, body: string): Promise<T> {
  const answer = await fetch(url, { method: 'POST', headers: HEADERS, body });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as T;
}
