/**
 * Whether the owner of a claim is alive: the one place that says so, for the takeover and for the doctor.
 */

/** An engine without a heartbeat for this long is dead: its process is gone, frozen or cut off. */
const DEAD_AFTER = `interval '8 seconds'`;

/** SQL: whether the engine of this row of execution_engines is alive. @param row the row's name in the statement */
export function engineIsAlive(row: string): string {
  return `${row}.heartbeat_at > now() - ${DEAD_AFTER}`;
}

/** SQL: whether the engine that a claim names is alive. @param owner an expression for its id; null is nobody */
export function ownerIsAlive(owner: string): string {
  return `exists (select 1 from execution_engines g where g.id = ${owner} and ${engineIsAlive('g')})`;
}
