/**
 * The work that is ended: short work in scopes of one to three levels and in children, and work that goes on until it is ended.
 */
import type { JsonObject } from '../../core/json/json.ts';

const ITEMS = 3;
const STEPS: JsonObject = {
  first: { type: 'ends.work', with: { ms: 2 } },
  second: { type: 'noop', needs: ['first'] },
  third: { type: 'ends.work', needs: ['second'], with: { ms: '${{ index * 2 }}' } },
};
const HOLD: JsonObject = { hold: { type: 'ends.work', with: { ms: 600_000 } } };

const each = (items: number, concurrency: number, steps: JsonObject): JsonObject => ({
  type: 'foreach',
  with: { items, concurrency, steps },
});

function nested(depth: number): JsonObject {
  return each(ITEMS, 2, depth === 1 ? STEPS : { each: nested(depth - 1) });
}

/** Ended at a random moment. */
export const RACES: readonly JsonObject[] = [
  ...[1, 2, 3].map((depth) => ({ name: `depth-${depth}`, steps: { each: nested(depth) } })),
  {
    name: 'children',
    steps: { each: each(ITEMS, 2, { child: { type: 'workflow', with: { name: 'depth-1' } } }) },
  },
];

/** Ended when all of it runs. @param open how many steps that is */
export function wideOnes(open: number): readonly JsonObject[] {
  const side = Math.ceil(Math.sqrt(open));
  return [
    { name: 'items', steps: { each: each(open, open, HOLD) } },
    { name: 'nested items', steps: { each: each(side, side, { each: each(side, side, HOLD) }) } },
    {
      name: 'children',
      steps: { each: each(open, open, { child: { type: 'workflow', with: { name: 'held' } } }) },
    },
  ].map(({ name, steps }) => ({ name: `wide-${name.replaceAll(' ', '-')}`, steps }));
}

/** The template of the children of a wide execution. */
export const HELD: JsonObject = { name: 'held', steps: HOLD };

/** How many steps of a wide execution run. */
export function runningOf({ name }: JsonObject, open: number): number {
  return name === 'wide-nested-items' ? Math.ceil(Math.sqrt(open)) ** 2 : open;
}

/** The text of a module with the step type of these definitions: work that ends when it is told to. */
export const ENDS_MODULE = `
export default [{
  type: 'ends.work',
  summary: 'Lasts for a while.',
  schema: { type: 'object' },
  run: ({ params: { ms }, signal }) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(null), ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  }),
}];
`;
