/**
 * Runs scripts in the sandbox, and turns its errors into step failures.
 */
import type { Json } from '../core/json/json.ts';
import { ExpressionError } from '../expression/expression-error.ts';
import type { Sandbox } from '../expression/sandbox/sandbox.ts';
import { type ScriptOptions, StepFailure, type StepLog } from '../steps/step-type.ts';

/** A script with the workspace and the execution whose turn it takes. */
export interface OwnedScript extends ScriptOptions {
  readonly workspace: string | null;
  readonly execution: string;
}

/** @throws StepFailure; an aborted script throws the signal's reason. */
export async function runScript(
  sandbox: Pick<Sandbox, 'runScript'>,
  code: string,
  input: Json,
  options: OwnedScript,
  log: StepLog,
): Promise<Json> {
  try {
    return await sandbox.runScript(code, input, {
      ...options,
      onLog: (line, level) => {
        if (level === 'error') log.error(line);
        else if (level === 'warn') log.warn(line);
        else log.info(line);
      },
    });
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason;
    if (!(error instanceof ExpressionError)) throw error;
    const { code: reason, message, line, errorName } = error;
    const retryable = reason === 'sandbox_unavailable';
    throw new StepFailure(reason, message, { retryable, cause: error, details: { line, name: errorName } });
  }
}
