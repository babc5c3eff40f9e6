/** The names of the built-in step types, which the operator's own types may not have. */
export const BUILT_IN_NAMES: ReadonlySet<string> = new Set([
  'agent',
  'delay',
  'email',
  'fail',
  'foreach',
  'form',
  'http',
  'log',
  'loop',
  'merge',
  'noop',
  'script',
  'switch',
  'transform',
  'webhook',
  'wait',
]);
