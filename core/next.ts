/**
 * Continuations that wait only when there is something to wait for: a value that is there goes on at once.
 */
export function next<T, R>(value: T | Promise<T>, then: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(then) : then(value);
}
