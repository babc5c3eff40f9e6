import { expect, test } from 'bun:test';
import { createMetrics } from './metrics.ts';
import { OTHER_TEMPLATES, TemplateMetrics } from './template-metrics.ts';

function setUp(max: number, masked = (name: string) => name) {
  const metrics = createMetrics({ version: '1' });
  const templates = new TemplateMetrics(metrics, { max, masked });
  const labels = async (metric: string) =>
    [...(await metrics.render()).matchAll(new RegExp(`^execution_engine_${metric}{(.*)} (\\d+)$`, 'gm'))].map(
      ([, label, value]) => [label, Number(value)],
    );
  return { templates, labels };
}

test('templates beyond the bound are counted together, whatever their number', async () => {
  const { templates, labels } = setUp(2);
  for (const name of ['a', 'b', 'c', 'd', 'a', OTHER_TEMPLATES]) templates.of(name).started.inc();
  expect(await labels('executions_started_total')).toEqual([
    ['template="a"', 2],
    ['template="b"', 1],
    [`template="${OTHER_TEMPLATES}"`, 3],
  ]);
});

test('every counter of a template is there from its first execution on', async () => {
  const { templates, labels } = setUp(2);
  templates.of('a');
  expect(await labels('executions_finished_total')).toEqual([
    ['status="completed",template="a"', 0],
    ['status="failed",template="a"', 0],
    ['status="cancelled",template="a"', 0],
    ['status="timed_out",template="a"', 0],
  ]);
  expect(await labels('steps_failed_total')).toEqual([['template="a"', 0]]);
});

test('a name is masked, and written with escapes', async () => {
  const { templates, labels } = setUp(9, (name) => name.replaceAll('hunter2', '***'));
  templates.of('of-hunter2').started.inc();
  templates.of('a\u202e"\n').started.inc();
  expect((await labels('executions_started_total')).map(([label]) => label)).toEqual([
    'template="of-***"',
    'template="a\\\\u202e\\"\\\\n"',
  ]);
});
