/**
 * The failure of a task whose workers fell silent.
 */
/** Claims in a row whose lease runs out before the task fails. */
export const MAX_TASK_LOSSES = 3;

export const WORKER_LOST = {
  error: {
    code: 'worker_lost',
    message: `${MAX_TASK_LOSSES} times in a row a worker claimed the task and fell silent.`,
    details: null,
  },
  retryable: true,
  retryAfterMs: null,
};
