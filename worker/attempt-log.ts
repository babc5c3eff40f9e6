/**
 * The log lines of an attempt that are kept with it: masked, and up to a number of lines and bytes. Those beyond it are in
 * the log of the engine alone, and counted.
 */
import type { Payload } from '../core/event.ts';
import type { JsonObject } from '../core/json/json.ts';
import { hideCredentials } from '../core/text/credentials.ts';
import type { OutputStore } from '../payload/output-store.ts';
import { MAX_LOG_TEXT_LENGTH } from '../telemetry/log-line.ts';

export type LogLevel = 'info' | 'warn' | 'error';

export interface LogLimits {
  readonly maxLogLines: number;
  readonly maxLogBytes: number;
}

export class AttemptLog {
  readonly #store: Pick<OutputStore, 'text' | 'payloadNow'>;
  readonly #limits: LogLimits;
  readonly #lines: string[] = [];
  #bytes = 0;
  #left = 0;

  constructor(store: Pick<OutputStore, 'text' | 'payloadNow'>, limits: LogLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  add(level: LogLevel, message: string, fields: JsonObject | undefined): void {
    const { maxLogLines, maxLogBytes } = this.#limits;
    const hasRoom = this.#left === 0 && this.#lines.length < maxLogLines;
    const line = hasRoom ? this.#line(level, message, fields) : '';
    const bytes = Buffer.byteLength(line);
    if (!hasRoom || this.#bytes + bytes > maxLogBytes) {
      this.#left += 1;
      return;
    }
    this.#bytes += bytes;
    this.#lines.push(line);
  }

  /** Returns the lines as a JSON list. */
  payload(): Payload {
    const { maxLogLines, maxLogBytes } = this.#limits;
    const lines = [...this.#lines];
    if (this.#left > 0)
      lines.push(
        this.#line('warn', `${this.#left} more lines are in the log of the engine alone.`, {
          EXECUTION_ENGINE_MAX_LOG_LINES: maxLogLines,
          EXECUTION_ENGINE_MAX_LOG_BYTES: maxLogBytes,
        }),
      );
    return { json: `[${lines.join()}]` };
  }

  #line(level: LogLevel, message: string, fields: JsonObject | undefined): string {
    const head = {
      at: new Date().toISOString(),
      level,
      message: hideCredentials(this.#store.text(String(message), MAX_LOG_TEXT_LENGTH)),
    };
    return `${JSON.stringify(head).slice(0, -1)},"fields":${this.#fields(fields)}}`;
  }

  /** Fields that cannot be stored must not fail the step. */
  #fields(fields: JsonObject | undefined): string {
    if (fields === undefined) return '{}';
    try {
      return this.#store.payloadNow(JSON.parse(JSON.stringify(fields))).json;
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'They are no JSON.';
      return JSON.stringify({ unreadable: this.#store.text(reason, MAX_LOG_TEXT_LENGTH) });
    }
  }
}
