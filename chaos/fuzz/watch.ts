/**
 * Loaded into an engine before everything else: records how long its event loop stands still.
 *
 * A block is the work of the thread between two turns, in processor time: on a shared machine the clock includes the
 * work of others. The clock's figure is written beside it.
 */
import { appendFileSync, readFileSync } from 'node:fs';

const FILE = process.env.FUZZ_WATCH_FILE ?? '';
const TICK_MS = 5;
const SHORTEST_MS = 15;

let last = performance.now();
let lastWorked = workedMs();

setInterval(() => {
  const wallMs = performance.now() - last - TICK_MS;
  const worked = workedMs();
  const ms = Math.min(wallMs, worked === null || lastWorked === null ? wallMs : worked - lastWorked);
  if (wallMs >= SHORTEST_MS) appendFileSync(FILE, `${JSON.stringify({ endedAt: Date.now(), ms, wallMs })}\n`);
  last = performance.now();
  lastWorked = worked;
}, TICK_MS).unref();

/** Processor time of the thread that runs the event loop; null where the system does not report it. */
function workedMs(): number | null {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
  } catch {
    return null;
  }
}
