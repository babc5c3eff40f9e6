/**
 * The one way in which tests wait for something that tells nobody: they look again until it is there.
 */

const FIRST_PAUSE_MS = 5;
/** What takes long is looked at less often: every look costs the machine time that the others need. */
const LONGEST_PAUSE_MS = 100;
const GROWTH = 1.2;

/** Resolves when `holds` does. It never gives up: the time limit of the test ends it. */
export async function until(holds: () => unknown): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; !(await holds()); pauseMs = Math.min(pauseMs * GROWTH, LONGEST_PAUSE_MS))
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
