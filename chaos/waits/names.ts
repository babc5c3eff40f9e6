/**
 * The names of the signals for which steps wait.
 */

/** Returns the name of the signal for which the step of a place waits. */
export function signalName(place: string): string {
  return `go-${place}`;
}

/** Returns the name of a signal that never comes. */
export function silentName(place: string): string {
  return `never-${place}`;
}
