/**
 * Detects the end of the launcher (scripts/bun.mjs) by a changed parent process.
 *
 * A killed launcher cannot pass its end on, nor can a launcher that was killed along with its own parent.
 */

const LOOK_EVERY_MS = 500;

/**
 * Calls `gone` once when the launcher is no longer the parent of this process. A live launcher that is not the parent
 * started a process further up, whose environment was inherited: nothing is watched then.
 */
export function watchLauncher(pid: number, gone: () => void): void {
  if (process.ppid !== pid && isAlive(pid)) return;
  const look = () => {
    if (process.ppid === pid) return;
    clearInterval(timer);
    gone();
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();
  setImmediate(look);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}
