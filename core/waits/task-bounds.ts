/**
 * The bounds of tasks and of the calls of their workers. Lengths are in characters.
 */
export const MAX_QUEUE_LENGTH = 200;
export const MAX_WORKER_LENGTH = 200;
/** Tasks of one claim. */
export const MAX_CLAIMED = 100;
