/** Reads the name of a thrown error, such as `TypeError`, also of a hostile one. */

const NAME = /^[\w$.]{1,100}$/;

/** Returns the name of an error, or of its class when it has none of its own; of any other value `Error`. */
export function errorName(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return 'Error';
    const name: unknown = thrown.name === 'Error' ? thrown.constructor.name : thrown.name;
    return typeof name === 'string' && NAME.test(name) ? name : 'Error';
  } catch {
    return 'Error';
  }
}
