/**
 * Continues at once with a value that is there, and waits only for a promise.
 */
export function next<T, R>(value: T | Promise<T>, then: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** Does work that may throw or reject: calls exactly one of the two, and at once when there is nothing to wait for. */
export function settle<T>(
  work: () => T | Promise<T>,
  then: (value: T) => void,
  otherwise: (thrown: unknown) => void,
): void {
  let value: T | Promise<T>;
  try {
    value = work();
  } catch (thrown) {
    otherwise(thrown);
    return;
  }
  if (value instanceof Promise) value.then(then, otherwise);
  else then(value);
}
