/**
 * The connection of a command to its engine: a call with a failure that may pass is made again.
 *
 * Invariant 1: only calls that may be made twice come through `ask`.
 * Invariant 2: an address that has never answered is not waited for: most likely it is the wrong one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createEngineClient,
  type EngineClient,
  EngineProblem,
  EngineUnreachable,
} from '../client/engine-client.ts';
import { UsageError } from './failure.ts';

export interface ConnectionOptions {
  url: string;
  token?: string | undefined;
  /** The number of seconds for which calls are made again. */
  patience: number;
}

export interface Connection {
  readonly client: EngineClient;
  /** Makes a call, and makes it again while its failures may pass. Throws the last failure when they do not. */
  ask<T>(call: (client: EngineClient) => Promise<T>): Promise<T>;
}

const TIMEOUT_MS = 30_000;
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 2_000;
/** A proxy gives these answers when its engine is away. */
const PROXY_ANSWERS: ReadonlySet<number | null> = new Set([502, 503, 504]);

/** @param note is told of each run of failures, and of its end. Throws UsageError when the address is not valid. */
export function connect(
  { url, token, patience }: ConnectionOptions,
  note: (text: string) => void,
  timeoutMs: number = TIMEOUT_MS,
): Connection {
  const client = clientOf(url, token, timeoutMs);
  let hasAnswered = false;
  return {
    client,
    async ask(call) {
      let giveUpAt: number | null = null;
      for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
        try {
          const answer = await call(client);
          hasAnswered = true;
          if (giveUpAt !== null) note('The engine answers again.');
          return answer;
        } catch (error) {
          if (!isPassing(error, hasAnswered)) throw error;
          if (error instanceof EngineProblem) hasAnswered = true;
          if (giveUpAt === null && patience > 0)
            note(`${(error as Error).message} Asking again for up to ${patience} s.`);
          giveUpAt ??= performance.now() + patience * 1_000;
          if (performance.now() + pause > giveUpAt) throw error;
          await sleep(pause);
        }
      }
    },
  };
}

function clientOf(url: string, token: string | undefined, timeoutMs: number): EngineClient {
  try {
    return createEngineClient({ url, token, timeoutMs });
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

function isPassing(error: unknown, hasAnswered: boolean): boolean {
  if (error instanceof EngineProblem) return error.status >= 500;
  return error instanceof EngineUnreachable && (hasAnswered || PROXY_ANSWERS.has(error.status));
}
