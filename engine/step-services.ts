/**
 * Creates the services of steps: those that end waits, and those that say what steps wait for.
 */
import type { Config } from '../config/config.ts';
import { signsOfLife } from '../db/engine-alive.ts';
import { Explainer } from '../services/explain/explainer.ts';
import { FormJudge } from '../services/forms/form-judge.ts';
import { Inbox } from '../services/forms/inbox.ts';
import { HookService } from '../services/hooks/hook-service.ts';
import { LoadService } from '../services/load/load-service.ts';
import { SignalService } from '../services/signal-service.ts';
import { type AnswererOptions, StepAnswerer } from '../services/steps/answerer.ts';
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
}

export function createStepServices(parts: StepServiceParts) {
  const { config, database, steps, door, taskWaiters: waiters, limits } = parts;
  const { apiPool: pool, hookUrls, jobTable, route } = database;
  const { store, versions, reader: answers } = steps;
  const answerer = new StepAnswerer({ pool, door, versions });
  const { secrets } = config;
  const signs = signsOfLife(route.features.advisoryLocks, true);
  const { stopGraceMs } = config.limits;
  return {
    load: new LoadService({ pool, jobTable, signs }),
    explainer: new Explainer({
      db: pool,
      store,
      versions,
      evaluate: steps.evaluator.evaluate,
      hookUrls,
      jobTable,
      signs,
      stopGraceMs,
    }),
    steps: new StepService({ pool, answerer, store, hookUrls, forms: new FormJudge({ store, answers }) }),
    inbox: new Inbox({ pool, versions }),
    signals: new SignalService({ pool, versions, store, answers }),
    tasks: new TaskService({ pool, door, versions, answerer, store, waiters, limits }),
    hooks: new HookService({ pool, urls: hookUrls, versions, answerer, store, secrets }),
  };
}
