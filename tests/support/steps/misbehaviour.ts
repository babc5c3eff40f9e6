/**
 * What handlers do that nobody wants them to do, by name.
 */
import { type StepContext, StepFailure } from '../../../steps/step-type.ts';

type Misbehaviour = (context: StepContext) => unknown;

const MISBEHAVIOURS: Readonly<Record<string, Misbehaviour>> = {
  exit: () => process.exit(3),
  kill: () => process.kill(process.pid, 'SIGKILL'),
  loop: () => {
    for (;;);
  },
  bomb: () => {
    const kept: unknown[] = [];
    for (;;) kept.push(Buffer.alloc(8 * 1024 * 1024, 1));
  },
  bigint: () => ({ count: 1n }),
  cycle: () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    return cycle;
  },
  undefined: () => undefined,
  huge: () => 'x'.repeat(100 * 1024 * 1024),
  'throws text': () => {
    throw 'a text';
  },
  'throws null': () => {
    throw null;
  },
  'throws what resists': () => {
    throw Object.create(null);
  },
  'huge message': () => {
    throw new StepFailure('huge', 'x'.repeat(100 * 1024 * 1024), { details: 'y'.repeat(100 * 1024 * 1024) });
  },
  never: () => new Promise(() => undefined),
  'late answer': async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return 'late';
  },
  'rejects behind its back': () => {
    Promise.reject(new Error('behind its back'));
    setTimeout(() => {
      throw new Error('much later');
    });
    return 'done';
  },
  'goes on after its end': ({ log, evaluate }) => {
    setTimeout(() => {
      log.info('after the end');
      Promise.resolve(evaluate('${{ 1 }}')).catch(() => undefined);
    });
    return 'done';
  },
};

/** Misbehaves in its first `attempts` (all of them when left out), then answers `good`. */
export function misbehave(context: StepContext): unknown {
  const { kind, attempts = Number.POSITIVE_INFINITY } = context.params;
  if (context.attempt > Number(attempts)) return 'good';
  const how = MISBEHAVIOURS[String(kind)];
  if (how === undefined) throw new StepFailure('no_such_misbehaviour', String(kind));
  return how(context);
}
