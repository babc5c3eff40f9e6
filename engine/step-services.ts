/**
 * Creates the services of steps: those that end waits, and those that say what steps wait for.
 */
import type { Config } from '../config/config.ts';
import { signsOfLife } from '../db/engine-alive.ts';
import { PayloadReader } from '../payload/payload-reader.ts';
import { ScopeValues } from '../payload/scope-values.ts';
import { ForceService, type ForceServiceOptions } from '../services/control/force-service.ts';
import { Explainer } from '../services/explain/explainer.ts';
import { FormJudge } from '../services/forms/form-judge.ts';
import { Inbox } from '../services/forms/inbox.ts';
import { HookService } from '../services/hooks/hook-service.ts';
import { LoadService } from '../services/load/load-service.ts';
import { SignalService } from '../services/signal-service.ts';
import { type AnswererOptions, StepAnswerer } from '../services/steps/answerer.ts';
import { EvaluatedParams } from '../services/steps/evaluated-params.ts';
import { StepService } from '../services/steps/step-service.ts';
import { type TaskLimits, TaskService } from '../services/tasks/task-service.ts';
import type { TaskWaiters } from '../services/tasks/task-waiters.ts';
import type { Database } from './database.ts';
import type { StepParts } from './steps.ts';

export interface StepServiceParts {
  readonly config: Config;
  readonly database: Database;
  readonly steps: StepParts;
  readonly door: AnswererOptions['door'];
  readonly taskWaiters: TaskWaiters;
  readonly limits: TaskLimits;
  readonly rehearsal: ForceServiceOptions['rehearsal'];
}

export function createStepServices(parts: StepServiceParts) {
  const { config, database, steps, door, taskWaiters: waiters, limits, rehearsal } = parts;
  const { apiPool: pool, hookUrls, jobTable, route } = database;
  const { store, versions, evaluator, reader: answers } = steps;
  const answerer = new StepAnswerer({ pool, door, versions });
  const forcer = new ForceService({ pool, answerer, door, rehearsal });
  const { secrets } = config;
  const signs = signsOfLife(route.features.advisoryLocks, true);
  const { stopGraceMs, maxOutputBytes } = config.limits;
  const source = {
    payloads: new PayloadReader(pool, { maxOutputBytes, maxInputsBytes: maxOutputBytes }),
    values: new ScopeValues(pool),
    secrets,
    hookUrls,
  };
  const params = new EvaluatedParams({ pool, evaluator, source, store });
  const forms = new FormJudge({ store, answers });
  return {
    load: new LoadService({ pool, jobTable, signs }),
    explainer: new Explainer({
      db: pool,
      store,
      versions,
      evaluate: evaluator.evaluate,
      hookUrls,
      jobTable,
      signs,
      stopGraceMs,
    }),
    steps: new StepService({ pool, answerer, store, hookUrls, forms, params, forcer }),
    inbox: new Inbox({ pool, versions }),
    signals: new SignalService({ pool, versions, store, answers }),
    tasks: new TaskService({ pool, door, versions, answerer, store, waiters, limits }),
    hooks: new HookService({ pool, urls: hookUrls, versions, answerer, store, secrets }),
  };
}
