/**
 * The end of a script that is interrupted: its servers and engines go with it.
 */

/** Exit code of a process that a signal ended, as shells count it for SIGINT. */
const INTERRUPTED = 130;

export function endOnSignals(close: () => Promise<unknown>): void {
  let ending = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      // One signal may come twice: from the terminal or the shell, and forwarded by npm.
      if (ending) return;
      ending = true;
      close()
        .catch(console.error)
        .finally(() => process.exit(INTERRUPTED));
    });
}
