/**
 * `script`: JavaScript of the workflow's author, in the sandbox.
 *
 * `code` is never interpolated: data reaches it as `input` and not as program text, so a value can never become
 * code, and a template literal of the script stays its own.
 */
import type { Json } from '../core/json/json.ts';
import { bytesOf, durationOf, durationSchema, faultsOf, knownDuration, sizeSchema } from './measure.ts';
import { checkScript } from './script-syntax.ts';
import type { StepType } from './step-type.ts';

type ScriptParams = { code: string; input?: Json; memory?: number | string; timeout?: number | string };

export interface ScriptSettings {
  /** The limit of a script that names none. */
  timeoutMs: number;
  memoryBytes: number;
}

export function createScript(settings: ScriptSettings): StepType<ScriptParams> {
  return {
    type: 'script',
    sandboxed: true,
    limitedBy: 'timeout',
    summary: 'Runs JavaScript in a sandbox without I/O.',
    schema: {
      type: 'object',
      additionalProperties: false,
      required: ['code'],
      properties: {
        code: {
          type: 'string',
          minLength: 1,
          description:
            'Body of an async function of `input`; what it returns is the output. Expressions in it are not evaluated.',
        },
        input: { description: 'What the code finds in `input`; default: `{ <key>: output }` of the inputs.' },
        memory: sizeSchema('Most memory, as bytes or a size such as 32mb.'),
        timeout: durationSchema('Longest run, as milliseconds or a duration such as 2s.', 1),
      },
    },
    review: ({ code, timeout, memory }) =>
      faultsOf({
        code: () => checkScript(String(code)),
        timeout: () => knownDuration(timeout, 'timeout', 1),
        memory: () => memory !== undefined && bytesOf(memory as string | number, 'memory'),
      }),
    deferred: ['/code'],
    // An expression may yield undefined, which counts as no `input`.
    readsInputs: (params) => params?.input === undefined || typeof params.input === 'string',
    run({ params, inputs, signal, runScript }) {
      const timeoutMs =
        params.timeout === undefined ? settings.timeoutMs : durationOf(params.timeout, 'timeout', 1);
      const memoryBytes =
        params.memory === undefined ? settings.memoryBytes : bytesOf(params.memory, 'memory');
      const input = params.input === undefined ? { ...inputs } : params.input;
      return runScript(params.code, input, { timeoutMs, memoryBytes, signal });
    },
  };
}
