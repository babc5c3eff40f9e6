/**
 * What handlers do that nobody wants them to do, by name.
 */
import { Parked, type StepContext, StepFailure } from '../../../steps/step-type.ts';

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
  'parks for a text': () => new Parked({ forMs: '5m' as unknown as number }),
  'parks for no number': () => new Parked({ forMs: Number.NaN }),
  'parks for ever': () => new Parked({ forMs: 1e300 }),
  'parks until no instant': () => new Parked({ until: 'tomorrow, perhaps' }),
  'parks until infinity': () => new Parked({ until: 'infinity' }),
  'fails with no code': () => {
    throw new StepFailure('a\u0000\ud800b', 'message');
  },
  'fails with a number for a code': () => {
    throw new StepFailure(7 as unknown as string, 8 as unknown as string);
  },
  'asks for no pause': () => {
    throw new StepFailure('busy', 'message', {
      retryable: true,
      retryAfterMs: 'Wed, 21 Oct 2026 07:28:00 GMT' as unknown as number,
    });
  },
  never: () => new Promise(() => undefined),
  'late answer': async ({ signal }) => {
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return 'late';
  },
  'rejects behind its back': () => {
    Promise.reject(new Error('behind its back'));
    setImmediate(() => {
      throw new Error('much later');
    });
    return 'done';
  },
  'goes on after its end': ({ log, evaluate }) => {
    setImmediate(() => {
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
