/**
 * The statements of reading for people and pages, for docs/sql.md: see query-plans.ts.
 */
import type { Db, Tx } from '../../../db/connection/client.ts';
import { type ListPage, listExecutions } from '../../../db/executions/list.ts';
import type { FoundNames } from '../../../db/executions/list-conditions.ts';
import { executionsNamed } from '../../../db/executions/names.ts';
import { compareExecutions, comparePayloads, readComparedSteps } from '../../../db/reading/compared.ts';
import { readSnapshot } from '../../../db/reading/execution-state.ts';
import { readCounts, readSpans } from '../../../db/stats/end-counts.ts';
import { hasUncounted, takeEnds } from '../../../db/stats/ended.ts';
import { ENGINE_ID, type Filled } from './filled-database.ts';

type Read = readonly [name: string, file: string, when: string, send: (db: Db) => Promise<unknown>];

const NO_NAMES: FoundNames = { templates: null, part: null, only: null, without: [] };
const AFTER = { micros: '1700000000000000', id: ENGINE_ID };

export function readingReads({ executionIds, stepIds, templateId }: Filled): Read[] {
  const list = (what: string, page: Partial<ListPage>): Read => [
    `list of executions: ${what}`,
    'executions/list.ts',
    'a page of the list',
    (db) =>
      listExecutions(db, { filter: {}, names: NO_NAMES, order: 'created', after: AFTER, limit: 50, ...page }),
  ];
  const ofTemplate = { ...NO_NAMES, templates: [templateId] };
  return [
    [
      'read_snapshot',
      'reading/execution-state.ts',
      'a state request',
      (db) => readSnapshot(db, executionIds[0]!, ''),
    ],
    [
      'read_compared_steps',
      'reading/compared.ts',
      'twice a comparison',
      (db) => readComparedSteps(db, executionIds[0]!, ''),
    ],
    [
      'compare_payloads',
      'reading/compared.ts',
      'a comparison, for up to 500 steps at a time',
      (db) => comparePayloads(db, [{ a: stepIds[0]!, b: stepIds[1]! }]),
    ],
    [
      'compare_executions',
      'reading/compared.ts',
      'a comparison',
      (db) => compareExecutions(db, executionIds[0]!, executionIds[1]!),
    ],
    list('all', {}),
    list('of a workspace', { filter: { workspaceId: ENGINE_ID } }),
    list('of a template', { names: ofTemplate }),
    list('failed', { filter: { status: 'failed' } }),
    list('failed, of a workspace', { filter: { status: 'failed', workspaceId: ENGINE_ID } }),
    list('failed, of a template', { filter: { status: 'failed' }, names: ofTemplate }),
    list('by duration', { order: 'duration' }),
    list('whether few have a tag', { filter: { tag: 'shop' } }),
    list('whether few are open', { filter: { status: 'running' } }),
    list('whether few are children of one', { filter: { parent: ENGINE_ID }, order: 'id' }),
    [
      'has_uncounted',
      'stats/ended.ts',
      'every 4 s in each engine; the rest of counting only when there is something to count',
      hasUncounted,
    ],
    [
      'ends that are not counted',
      'stats/ended.ts',
      'every 4 s, in one engine',
      (db) => takeEnds(db as unknown as Tx, 2_000),
    ],
    [
      'counts that are there',
      'stats/end-counts.ts',
      'every 4 s, in one engine',
      (db) => readCounts(db as unknown as Tx, [{ width: 60, workspace: '*', template: '*', startsAtMs: 0 }]),
    ],
    [
      'read_spans',
      'stats/end-counts.ts',
      'a request for statistics',
      (db) => readSpans(db, { width: 300, workspace: '*', template: '*', fromMs: 0, untilMs: 1 }),
    ],
    [
      'list of executions: named exactly',
      'executions/names.ts',
      'a page of the list with `q`',
      (db) => executionsNamed(db, ENGINE_ID, [templateId], 2_000),
    ],
  ];
}
