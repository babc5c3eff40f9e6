/**
 * A step type that gives a secret away in every way a handler has, for tests of the masker.
 */
import { Parked, Routed, type StepContext, StepFailure, type StepType } from '../../../steps/step-type.ts';
import { write } from '../spellings.ts';

type LeakParams = { door: string; secret: string; spellings: string[]; before?: number };

/** Where the secret goes, given the text that holds it. */
const DOORS: Readonly<Record<string, (context: StepContext<LeakParams>, text: string) => unknown>> = {
  output: (_context, text) => ({ text, nested: [{ [text]: text }], twice: { [`${text} `]: 1 } }),
  routes: (_context, text) => new Routed(text, [text]),
  throws: (_context, text) => {
    throw new Error(text, { cause: new TypeError(text) });
  },
  'throws text': (_context, text) => {
    throw text;
  },
  fails: (_context, text) => {
    throw new StepFailure(text, text, { details: { [text]: [text] } });
  },
  parks: ({ resumed }, text) => (resumed === null ? new Parked({ forMs: 1 }, { text }) : resumed.state),
  logs: ({ log }, text) => {
    log.info(text, { [text]: text });
    log.error(`${'x'.repeat(9_990)}${text}`, { fields: `${'y'.repeat(60_000)}${text}` });
  },
  prints: (_context, text) => {
    console.log(text);
    console.error(text);
  },
};

export const leak: StepType<LeakParams> = {
  type: 'leak',
  summary: 'Gives a secret away.',
  schema: {},
  run(context) {
    const { door, secret, spellings, before = 0 } = context.params;
    const text = `${'z'.repeat(before)}<${write(context.secrets[secret]!, spellings)}>`;
    return DOORS[door]!(context, text);
  },
};

export const LEAK_DOORS = Object.keys(DOORS);
