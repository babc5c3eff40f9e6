/**
 * Loads: executions whose steps all begin at once and each handle much data, in every way in which a step does.
 */
import type { FuzzStage } from './stage.ts';

export interface Load {
  readonly name: string;
  readonly definition: Readonly<Record<string, unknown>>;
  inputs(): unknown;
}

/** Secrets of every kind: also those that keep no letters when they are escaped. */
export const SECRETS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Array.from({ length: 20 }, (_, at) => [`KEY_${at}`, `sk_live_${at}_Zq9XyW${at * 7_919}`]),
  ),
  SIGNS: 'a1#b2$c3%d4',
  WORDS: '秘密のパスワード',
};

/** A type of its own, whose schema is large; it runs in a child process. */
export const STEP_MODULE = `
const named = Object.fromEntries(Array.from({ length: 400 }, (_, at) => ['k' + at, { type: ['number', 'string'] }]));
const schema = {
  type: 'object',
  properties: { data: { anyOf: [{ type: 'string', maxLength: 3 }, { properties: named }, true] } },
};
export default [{
  type: 'measure',
  summary: 'Measures its data.',
  schema,
  run: ({ params }) => JSON.stringify(params.data ?? null).length,
}];
`;

const KIB = 1_024;

/** So many equal steps that need no other. */
function stepsOf(count: number, step: object): Record<string, object> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, step]));
}

function loadOf(name: string, count: number, step: object, inputs: () => unknown): Load {
  return {
    name,
    definition: {
      name: `load-${name}`,
      onFailure: 'continue',
      output: '${{ 1 }}',
      steps: stepsOf(count, step),
    },
    inputs,
  };
}

const copy = (value: string) => ({ type: 'transform', with: { value } });
const text = (part: string, length: number) => part.repeat(Math.floor(length / part.length));
const rows = (count: number) =>
  Array.from({ length: count }, (_, at) => ({ id: at, name: `row ${at}`, ok: true }));
const named = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, `v${at}`]));

export const LOADS: readonly Load[] = [
  loadOf('escaped', 60, copy('${{ input }}'), () => text('%255c', 900 * KIB)),
  loadOf('mixed', 30, copy('${{ input }}'), () => text('%41\\u0061&amp;\\\\x41%25é\n', 400 * KIB)),
  loadOf('copies', 100, copy('${{ input }}'), () => rows(12_000)),
  loadOf('numbers', 30, copy('${{ input }}'), () => Array.from({ length: 200_000 }, (_, at) => at % 10)),
  loadOf('joined', 30, copy('a ${{ input }} b'), () => rows(12_000)),
  loadOf('reads', 40, copy('${{ Object.keys(input).length }}'), () => ({ text: text('x', 8_000 * KIB) })),
  loadOf('makes', 30, copy('${{ "%255c".repeat(180000) }}'), () => null),
  loadOf('errors', 60, { type: 'fail', with: { message: '${{ input }}', details: '${{ input }}' } }, () =>
    text('%41', 900 * KIB),
  ),
  loadOf('lines', 60, { type: 'log', with: { message: '${{ input }}' } }, () =>
    text('%255c\u2028', 600 * KIB),
  ),
  loadOf(
    'scripts',
    30,
    { type: 'script', with: { code: 'return input.length', input: '${{ input }}' } },
    () => rows(50_000),
  ),
  loadOf('hosted', 30, { type: 'measure', with: { data: '${{ input }}' } }, () => rows(60_000)),
  loadOf('checked', 30, { type: 'measure', with: { data: '${{ input }}' } }, () => named(40_000)),
];

/** Starts an execution of a load, and waits for its end. Returns its status. */
export async function playLoad({ definition, inputs }: Load, { url, callers }: FuzzStage): Promise<string> {
  const { key } = callers[0]!;
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  const start = await fetch(`${url}/api/v1/execution/start`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ template: definition.name, inputs: inputs() }),
  });
  const { execution_id: id } = (await start.json()) as { execution_id?: string };
  if (id === undefined) return String(start.status);
  for (;;) {
    const looked = await fetch(`${url}/api/v1/execution/status?execution_id=${id}&wait=30s`, { headers });
    const { status } = (await looked.json()) as { status: string };
    if (!looked.ok || !['pending', 'running'].includes(status))
      return looked.ok ? status : String(looked.status);
  }
}
