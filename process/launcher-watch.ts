/**
 * The end of the launcher (scripts/bun.mjs) as the process that it has started sees it: another parent.
 *
 * A launcher that is killed cannot hand its end on, and neither can one whose own starter took it along.
 */

const LOOK_EVERY_MS = 500;

/**
 * Calls `gone` once when the launcher is no longer the parent of this process. A launcher that lives and is not the
 * parent started a process further up, which handed its environment on: nothing is watched then.
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
