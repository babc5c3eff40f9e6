/**
 * A doctor that finds nothing, for tests of the API and the command line only.
 */

import type { Caller } from '../../../services/caller.ts';
import type { DoctorPort } from '../../../services/doctor/report.ts';

type Recorder = (name: string, caller: Caller, ...args: unknown[]) => Promise<void>;

const OPERATOR: Caller = { workspaceId: null, admin: true };

/** Records what it is asked. */
export function doctorPort(record: Recorder): DoctorPort {
  const healthy = {
    ok: true,
    findings: [],
    repaired: [],
    checked: ['queued-step-without-job'],
    unanswered: [],
  };
  return {
    async examine(request) {
      await record('examine', OPERATOR, request);
      return healthy;
    },
    async repair(request) {
      await record('repair', OPERATOR, request);
      return healthy;
    },
  };
}
