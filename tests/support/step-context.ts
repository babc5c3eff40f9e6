/**
 * A step's context as the worker would give it, for tests of handlers.
 *
 * `evaluate` and `runScript` belong to the expression room: a test that needs one passes it.
 */
import type { Json, JsonObject } from '../../core/json/json.ts';
import type { StepContext } from '../../steps/step-type.ts';

export interface LogLine {
  level: 'info' | 'warn' | 'error';
  message: string;
  fields: JsonObject | undefined;
}

export type TestContext<P> = StepContext<P> & { readonly lines: LogLine[] };

/** Any part can be overridden; `lines` collects what the handler logs. */
export function stepContext<P = JsonObject>(overrides: Partial<StepContext<P>> = {}): TestContext<P> {
  const lines: LogLine[] = [];
  const write = (level: LogLine['level']) => (message: string, fields?: JsonObject) => {
    lines.push({ level, message, fields });
  };
  return {
    params: {} as P,
    hasParams: overrides.params !== undefined,
    inputs: {},
    execution: { id: '018f0000-0000-7000-8000-000000000001', template: 'test', version: 1 },
    step: { id: '018f0000-0000-7000-8000-000000000002', key: 'step' },
    attempt: 1,
    idempotencyKey: 'key-of-this-step',
    signal: new AbortController().signal,
    log: { info: write('info'), warn: write('warn'), error: write('error') },
    secrets: {},
    heartbeat() {},
    resumed: null,
    evaluate: (value: Json) => value,
    keepTurn: () => Promise.resolve(),
    runScript: () => Promise.reject(new Error('this test gave no runScript')),
    ...overrides,
    lines,
  };
}
