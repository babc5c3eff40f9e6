/**
 * The calls that are measured: each as the path of a request, drawn anew each time.
 */
import type { Pool } from '../../db/connection/client.ts';

export interface ReadCall {
  readonly name: string;
  path(): string;
}

interface Sample {
  readonly id: string;
  readonly template: string;
  readonly workspace: string | null;
  readonly key: string | null;
  readonly tags: readonly string[];
  readonly at: string;
}

const WORKSPACE = '00000000-0000-4000-8000-000000000004';
const LIST = '/admin/executions?';

/** Executions at random, with the one that has children. */
async function draw(pool: Pool): Promise<{ samples: Sample[]; parent: string }> {
  const { rows } = await pool.query(
    `select e.id, t.name as template, e.workspace_id as workspace, e.idempotency_key as key, e.tags, e.created_at as at
       from workflow_executions e tablesample bernoulli (1) join workflow_templates t on t.id = e.workflow_template_id
      where e.parent_step_id is null limit 5000`,
  );
  const parents = await pool.query(
    'select parent_execution_id as id from workflow_executions where parent_step_id is not null limit 1',
  );
  return {
    samples: rows.map((row) => ({ ...row, at: row.at.toISOString() })),
    parent: parents.rows[0].id,
  };
}

export async function readCalls(pool: Pool): Promise<ReadCall[]> {
  const { samples, parent } = await draw(pool);
  const one = (fits: (sample: Sample) => boolean = () => true): Sample => {
    for (;;) {
      const sample = samples[Math.floor(Math.random() * samples.length)]!;
      if (fits(sample)) return sample;
    }
  };
  const tagged = () => one(({ tags }) => tags.length > 0).tags;
  const list = (name: string, query: () => string): ReadCall => ({
    name: `list: ${name}`,
    path: () => `${LIST}${query()}`,
  });
  const fixed = (name: string, query: string) => list(name, () => query);
  return [
    fixed('newest', ''),
    list('from a moment on', () => `until=${one().at}`),
    list('from a moment on, 500', () => `until=${one().at}&limit=500`),
    fixed('status=failed', 'status=failed'),
    fixed('status=completed', 'status=completed'),
    fixed('status=running', 'status=running'),
    list('template', () => `template=${one().template}`),
    list('template, status=failed', () => `template=${one().template}&status=failed`),
    list('template, status=running', () => `template=${one().template}&status=running`),
    fixed('workspace', `workspace_id=${WORKSPACE}`),
    fixed('workspace, status=timed_out', `workspace_id=${WORKSPACE}&status=timed_out`),
    list('workspace, template, from a moment on', () => {
      const { template, at } = one();
      return `workspace_id=${WORKSPACE}&template=${template}&until=${at}`;
    }),
    list('tag of many', () => `tag=${tagged()[0]}`),
    list('tag of few', () => `tag=${tagged()[1]}`),
    list('tag of few, failed', () => `tag=${tagged()[1]}&status=failed`),
    list('q: an id', () => `q=${one().id}`),
    list('q: a key', () => `q=${one(({ key }) => key !== null).key}`),
    list('q: a tag of few', () => `q=${tagged()[1]}`),
    list('q: an error code', () => `q=code_${Math.floor(Math.random() * 50)}`),
    list('q: part of a template', () => `q=${one().template.slice(3)}`),
    fixed('q: nowhere', 'q=nowhere-to-be-found'),
    list('q: part of an id', () => `q=${one().id.slice(24)}`),
    fixed('sort=duration', 'sort=duration'),
    list('sort=duration, template', () => `sort=duration&template=${one().template}`),
    list('sort=duration, tag of few', () => `sort=duration&tag=${tagged()[1]}`),
    fixed('sort=duration, workspace, failed', `sort=duration&workspace_id=${WORKSPACE}&status=failed`),
    fixed('children', `parent=${parent}`),
    fixed('a tree, by duration', `root=${parent}&sort=duration`),
    { name: 'stats: a day', path: () => '/admin/stats' },
    { name: 'stats: 90 days by the hour, 12 h', path: () => `/admin/stats?since=${daysAgo(90)}&bucket=12h` },
    { name: 'stats: 40 days by the hour', path: () => `/admin/stats?since=${daysAgo(40)}&bucket=1h` },
    {
      name: 'stats: 1,000 days, template',
      path: () => `/admin/stats?since=${daysAgo(998)}&bucket=1d&template=${one().template}`,
    },
    { name: 'status', path: () => `/api/v1/execution/status?execution_id=${one().id}` },
    { name: 'state', path: () => `/api/v1/execution/state?execution_id=${one().id}` },
    {
      name: 'compare',
      path: () => {
        const { id, template, workspace } = one();
        return `/api/v1/execution/compare?a=${id}&b=${one((other) => other.template === template && other.workspace === workspace).id}`;
      },
    },
    { name: 'graph', path: () => `/api/v1/templates/reading-00/graph?version=1` },
    { name: 'forms', path: () => '/api/v1/forms' },
  ];
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString();
}
