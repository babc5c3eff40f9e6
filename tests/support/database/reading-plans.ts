/**
 * The statements of reading for people and pages, for docs/sql.md: see query-plans.ts.
 */
import type { Db } from '../../../db/connection/client.ts';
import { readSnapshot } from '../../../db/reading/execution-state.ts';
import type { Filled } from './filled-database.ts';

type Read = readonly [name: string, file: string, when: string, send: (db: Db) => Promise<unknown>];

export function readingReads({ executionIds }: Filled): Read[] {
  return [
    [
      'read_snapshot',
      'reading/execution-state.ts',
      'a state request',
      (db) => readSnapshot(db, executionIds[0]!, ''),
    ],
  ];
}
