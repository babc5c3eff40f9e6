/**
 * Continues at once with a value that is there, and waits only for a promise.
 */
export function next<T, R>(value: T | Promise<T>, then: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}
