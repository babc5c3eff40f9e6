/**
 * The one way in which tests wait for something that tells nobody: they look again until it is there.
 */

const LOOK_AGAIN_MS = 5;

/** Resolves when `holds` does. It never gives up: the time limit of the test ends it. */
export async function until(holds: () => unknown): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
}
