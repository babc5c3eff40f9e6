/**
 * A reason as a sentence that names what must happen next, and who can do it. Pure.
 *
 * Each text is read alone, so it names the step and, where a call helps, the call with its values.
 */
import type { HolderFacts, LimitFacts, MissingInput, Reason } from '../../core/explain/reason.ts';
import { unopened } from '../../core/scopes/held-scopes.ts';
import { answerWords } from './answer-words.ts';
import { shortState, shortText } from './short.ts';
import { count, errorText, instant, listed, type Named, quoted, roughSpan, since, spanText } from './text.ts';

/** Returns the reason why the step is not final. */
export function reasonText(reason: Reason, step: Named): string {
  return `Step ${quoted(step.key)} ${predicate(reason, step)}`;
}

type Words<K extends Reason['kind']> = (reason: Extract<Reason, { kind: K }>, step: Named) => string;

const PREDICATES: { readonly [K in Reason['kind']]: Words<K> } = {
  start: startWords,
  inputs: inputsWords,
  timer: ({ at }) =>
    at === null
      ? 'waits for a timer whose time is not known. Ask the doctor (GET /admin/doctor) whether its timer is missing.'
      : `waits for a timer and goes on by itself at ${instant(at)}. Nothing needs to be done; to give it up, stop or cancel the execution.`,
  answer: answerWords,
  child: childWords,
  scopes: scopesWords,
  limit: ({ limit }) => limitWords(limit),
  hidden_limit: ({ limit }) =>
    `is queued and has a limit of at most ${limit}, whose key is made from results of other steps. It begins by itself when the limit and an engine have a free place.`,
  retry: retryWords,
  slot: slotWords,
  step_type: ({ types }, step) => `${readiness(step)}, and ${noEngineWith(types)}`,
  no_engine: (_, step) =>
    `${readiness(step)}, and no engine that runs steps is alive. Start one with EXECUTION_ENGINE_ROLE all or worker on this database.`,
  running: runningWords,
  silent_engine: silentWords,
  paused: pausedWords,
  incident: incidentWords,
  stop: stopWords,
};

function predicate<K extends Reason['kind']>(reason: Extract<Reason, { kind: K }>, step: Named): string {
  return (PREDICATES[reason.kind] as Words<K>)(reason, step);
}

function startWords({ at, position }: Extract<Reason, { kind: 'start' }>, { executionId }: Named): string {
  if (at !== null)
    return `has not begun: the execution was put off and begins by itself at ${instant(at)}. To be rid of it, cancel execution ${executionId}.`;
  const place = position === null ? '' : `, number ${position} of its workspace`;
  return `has not begun: the execution is in line${place}. It begins by itself as soon as an engine has room; more engines, or a larger EXECUTION_ENGINE_CONCURRENCY, make the line shorter.`;
}

export /** A step of an execution that has not begun has no row. */
function readiness({ stepId }: Named): string {
  return stepId === null ? 'has not begun: the execution is in line' : 'is ready';
}

function noEngineWith(types: readonly string[]): string {
  if (types.length === 0)
    return 'no single engine has all step types of its template. Start one that loads all their modules (EXECUTION_ENGINE_STEPS).';
  const named = listed(types.map(quoted));
  return `no living engine has the step type ${named}. Start an engine that loads a module with it (EXECUTION_ENGINE_STEPS), or cancel the execution.`;
}

function inputsWords(reason: Extract<Reason, { kind: 'inputs' }>, step: Named): string {
  const { join, edges, live, missing, missingCount } = reason;
  const names = missing.slice(0, MAX_NAMED).map(({ slot }) => quoted(step.keyOf(slot)));
  const more = missingCount - names.length;
  const lacking = listed(more > 0 ? [...names, `${more} more`] : names);
  const rule =
    join === 'all'
      ? 'It begins when all of them have ended and one of its inputs is live'
      : `It begins when ${join} of its ${edges} inputs are live (${live} so far)`;
  return `waits for ${missingCount} of ${count(edges, 'input')}: ${lacking}. ${rule}, and is skipped when that can no longer happen.${nextWords(missing, step)}`;
}

const MAX_NAMED = 3;

/** The steps that must end next, each with what it waits for. */
function nextWords(missing: readonly MissingInput[], step: Named): string {
  const next = missing.flatMap(({ slot, own, before }) => (own === null ? before : [{ slot, own }]));
  const named = new Map(next.map(({ slot, own }) => [step.keyOf(slot), shortText(own)]));
  const texts = [...named].slice(0, MAX_NAMED).map(([key, why]) => `${quoted(key)}, which ${why}`);
  return texts.length === 0 ? '' : ` Next to end: ${texts.join('; ')}.`;
}

function childWords({ id, child }: Extract<Reason, { kind: 'child' }>): string {
  if (child === null)
    return `waits for its child execution ${id}. It goes on by itself when that is final; GET /api/v1/execution/explain?execution_id=${id} says what that waits for.`;
  const { status, step } = child;
  const why = step === null ? '' : `; its step ${quoted(step.key)} ${shortState(step)}`;
  return `waits for its child execution ${id}, which is ${status}${why}. It goes on by itself when that is final; explain ${id} for the whole reason.`;
}

function scopesWords({ held, open }: Extract<Reason, { kind: 'scopes' }>, { executionId }: Named): string {
  const { total, completed, failed, cancelled, concurrency } = held;
  const over = completed + failed + cancelled;
  const ends = [`${completed} completed`, `${failed} failed`, `${cancelled} cancelled`];
  const left = unopened(held);
  const wait = left === 0 ? '' : ` ${left} are not open yet: at most ${concurrency} are open at once.`;
  const [first] = open;
  const where =
    first === undefined
      ? ''
      : ` Open are ${listed(open)}${held.open > open.length ? ' and others' : ''}; explain with execution_id=${executionId} and scope=${first} says what one waits for.`;
  return `waits for its scopes: ${over} of ${total} are over (${ends.join(', ')}), ${held.open} open.${wait} It goes on by itself when all are over.${where}`;
}

function limitWords({ key, limit, perMs, freeInMs, holders, used, position }: LimitFacts): string {
  const place = position === null ? '' : ` It is number ${position} in line.`;
  if (perMs !== null) {
    const when = freeInMs === null ? 'when its window is over' : `in ${roughSpan(freeInMs)} at the earliest`;
    return `waits for the rate limit ${quoted(key)} of ${count(limit, 'start')} per ${spanText(perMs)}, which is used up.${place} It begins by itself ${when}; a larger limit in the definition helps later executions.`;
  }
  return `waits for the limit ${quoted(key)}: ${used} of ${limit} places are taken${heldBy(holders, used)}.${place} It begins by itself when one of these ends; to free a place now, stop or cancel the execution that holds it.`;
}

function heldBy(holders: readonly HolderFacts[], all: number): string {
  if (holders.length === 0) return '';
  const names = holders.map(
    ({ path, executionId, sinceMs }) => `step ${quoted(path)} of execution ${executionId}${since(sinceMs)}`,
  );
  return ` by ${listed(all > names.length ? [...names, `${all - names.length} more`] : names)}`;
}

function retryWords({ at, attempt, retry, retryLimit, error }: Extract<Reason, { kind: 'retry' }>): string {
  const failed = error === null ? '' : ` with ${errorText(error)}`;
  const when = at === null ? '' : ` at ${instant(at)}`;
  return `failed${failed}. Attempt ${attempt} (retry ${retry} of ${retryLimit}) begins by itself${when}. To give up earlier, stop or cancel the execution.`;
}

function slotWords({ engines, free, capacity, holders }: Extract<Reason, { kind: 'slot' }>): string {
  if (free > 0)
    return `is ready, and ${free} of ${count(capacity, 'place')} are free: an engine takes it by itself within a second or two. If it stays ready, these places are kept for other workspaces, or the part for steps that need the sandbox is used up: more engines, or a larger EXECUTION_ENGINE_CONCURRENCY, help.`;
  return `is ready and waits for a free place: ${count(engines, 'engine')} run ${count(capacity, 'step')} at once${heldBy(holders, capacity)}. It begins by itself when one of them ends; more engines, or a larger EXECUTION_ENGINE_CONCURRENCY, give more places.`;
}

function runningWords({ engine, timeoutAt }: Extract<Reason, { kind: 'running' }>, step: Named): string {
  const end =
    timeoutAt === null
      ? `It has no timeout: if it hangs, stop or cancel execution ${step.executionId}.`
      : `It ends by itself, or with its timeout at ${instant(timeoutAt)}.`;
  return `runs on engine ${engine.id} (process ${engine.pid} on ${engine.host})${since(step.sinceMs)}. ${end}`;
}

function silentWords(reason: Extract<Reason, { kind: 'silent_engine' }>): string {
  const { engineId, engine, hasPeer } = reason;
  const next = hasPeer
    ? 'Another engine takes the step over by itself'
    : 'No other engine is alive to take the step over: start one, and it does so by itself';
  if (engine === null)
    return `ran on engine ${engineId}, which is not registered any more. ${next} within seconds.`;
  const { pid, host, heardAt, deadAt, isAlive } = engine;
  const who = `on engine ${engineId} (process ${pid} on ${host}), which has sent no heartbeat since ${instant(heardAt)}`;
  if (!isAlive) return `ran ${who} and counts as dead. ${next} within seconds.`;
  return `runs ${who} and is being judged dead. Unless it is heard again, it counts as dead at ${instant(deadAt)} at the latest. ${next} then.`;
}

function pausedWords(reason: Extract<Reason, { kind: 'paused' }>, step: Named): string {
  const { sinceMs, by, parentId, isIncident, own } = reason;
  const resume = (id: string) => `POST /api/v1/execution/resume with { "execution_id": "${id}" }`;
  const cause = isIncident
    ? 'a step of the execution has used up its retries, and the execution is paused until somebody decides'
    : parentId === null
      ? `the execution is paused${by === null ? '' : ` by ${quoted(by)}`}${since(sinceMs)}`
      : `its parent execution ${parentId} was paused${since(sinceMs)}, and its children with it`;
  const first = `is held back: ${cause}. An operator lets it go on by ${resume(parentId ?? step.executionId)}.`;
  // Steps that are ready then begin by themselves.
  if (own.kind === 'slot' || own.kind === 'start') return first;
  return `${first} Besides, it ${predicate(own, step)}`;
}

function incidentWords({ id, error }: Extract<Reason, { kind: 'incident' }>, step: Named): string {
  const failed = error === null ? '' : ` with ${errorText(error)}`;
  const all = id === null ? '' : `, or POST /admin/incidents/${id}/resume for all that failed like it`;
  return `failed${failed}, and its retries are used up: the execution is paused until somebody decides. Mend the cause, then resume with POST /api/v1/execution/resume and { "execution_id": "${step.executionId}" }${all}.`;
}

function stopWords(reason: Extract<Reason, { kind: 'stop' }>, step: Named): string {
  const { cause, sinceMs, graceEndsAt, own } = reason;
  const why =
    cause === 'stop'
      ? `a stop of the execution was requested${sinceMs === null ? '' : ` at ${instant(sinceMs)}`}`
      : 'the execution is ending, and undoes afterwards what it has completed';
  const until = graceEndsAt === null ? 'when its grace time is over' : `at ${instant(graceEndsAt)}`;
  const now = own.kind === 'running' ? ` It runs on engine ${own.engine.id}.` : '';
  return `may still end: ${why}.${now} It ends by itself, or is cancelled ${until}; to end it now, cancel execution ${step.executionId} with POST /admin/executions/${step.executionId}/cancel.`;
}
