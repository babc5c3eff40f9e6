/**
 * Control that takes every call, for tests of the API only.
 */
import type { ControlPorts } from '../../../api/control/index.ts';
import type { Caller } from '../../../services/caller.ts';

type Record = (name: string, caller: Caller, ...args: unknown[]) => Promise<void>;

export function controlPorts(record: Record): ControlPorts {
  return {
    retries: {
      async retry(caller, body) {
        await record('retry', caller, body);
        return { execution_id: body.execution_id, status: 'running' };
      },
    },
    pauses: {
      async pause(caller, id) {
        await record('pause', caller, id);
        return { execution_id: id, status: 'paused' };
      },
      async resume(caller, id) {
        await record('resume', caller, id);
        return { execution_id: id, status: 'running' };
      },
      async dryRun(caller, id, act) {
        await record(`dry run of ${act}`, caller, id);
        return { dry_run: true, resets: [], starts: [], cancels: [], skips: [], warnings: [] };
      },
    },
    incidents: {
      async list(caller, query) {
        await record('list incidents', caller, query);
        return { data: [], next_cursor: null };
      },
      async close(caller, id, act, call) {
        await record(`${act} incidents`, caller, id, call);
        return { matched: 0, changed: 0, refused: [], more: false, next_cursor: null };
      },
    },
    bulk: {
      async run(caller, act, body) {
        await record(`${act} many`, caller, body);
        return { matched: 0, changed: 0, refused: [], more: false, next_cursor: null };
      },
    },
  };
}
