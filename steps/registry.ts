/**
 * The step types an engine offers: the built-in ones and the operator's own.
 *
 * Types get their part of the configuration here; a handler reads no environment.
 */
import { createAgent } from './agent/agent.ts';
import type { AnswerSchemas } from './agent/answer.ts';
import { ask } from './agent/chat.ts';
import type { AgentSettings } from './agent/settings.ts';
import { delay } from './delay.ts';
import { createEmail } from './email/email.ts';
import { Mailer } from './email/mailer.ts';
import type { MailSettings } from './email/smtp-server.ts';
import { fail } from './fail.ts';
import { foreachStep } from './foreach.ts';
import { form } from './form/form.ts';
import { parseAllowList } from './http/address.ts';
import { createHttpClient, type HttpClient } from './http/client.ts';
import { portOf } from './http/exchange.ts';
import { createHttp } from './http.ts';
import { log } from './log.ts';
import { loopStep } from './loop.ts';
import { merge } from './merge.ts';
import { noop } from './noop.ts';
import { createScript, type ScriptSettings } from './script.ts';
import type { StepType } from './step-type.ts';
import { switchStep } from './switch.ts';
import { task } from './task.ts';
import { transform } from './transform.ts';
import { wait } from './wait.ts';
import { createWebhook } from './webhook/webhook.ts';
import { workflow } from './workflow.ts';

const DEFAULT_LOOP_ITERATIONS = 1_000;

export interface StepTypesOptions {
  http: {
    /** Entries of EXECUTION_ENGINE_HTTP_ALLOW. */
    allow: readonly string[];
    maxResponseBytes: number;
    timeoutMs: number;
  };
  script: ScriptSettings;
  /** EXECUTION_ENGINE_PUBLIC_URL; default: not set. */
  publicUrl?: string | null;
  /** Default: no mail server. */
  mail?: MailSettings;
  /** Default: no language model. */
  agent?: AgentSettings;
  /** Checks answers against schemas, where steps run. */
  schemas?: () => AnswerSchemas | Promise<AnswerSchemas>;
  /** Most items of a foreach; left out: where none is run. */
  maxForeachItems?: number;
  /** Most iterations of a loop; left out: the default. */
  maxLoopIterations?: number;
  /** The operator's own types (modules/user-modules.ts). */
  extra?: readonly StepType[];
}

/**
 * Every step type by its name. Throws an Error when an entry of the allow list cannot be read, or when a type of
 * `extra` has a name that is already used.
 */
export function createStepTypes(options: StepTypesOptions): Map<string, StepType> {
  const client = createHttpClient({ ...options.http, allow: parseAllowList(options.http.allow) });
  const mailer = new Mailer(options.mail ?? { server: null, sender: null });
  const builtIn = [
    noop,
    merge,
    transform,
    switchStep,
    createHttp(client),
    createScript(options.script),
    createEmail(mailer),
    agentOf(options, client),
    foreachStep(options.maxForeachItems ?? Number.POSITIVE_INFINITY),
    loopStep(options.maxLoopIterations ?? DEFAULT_LOOP_ITERATIONS),
    createWebhook(options.publicUrl ?? null),
    form,
    workflow,
    delay,
    wait,
    task,
    log,
    fail,
  ];
  const types = new Map<string, StepType>();
  const own = (builtIn as StepType[]).map((type) => ({ ...type, sendsNoHeartbeats: true }));
  for (const type of [...own, ...(options.extra ?? [])]) {
    if (types.has(type.type))
      throw new Error(`step type "${type.type}" is there already: give yours another name`);
    types.set(type.type, type);
  }
  return types;
}

function agentOf({ http, agent, schemas }: StepTypesOptions, client: HttpClient): StepType {
  const settings = agent ?? { url: null, key: null };
  const own = settings.url === null ? [] : [hostAndPort(settings.url)];
  const ownClient = createHttpClient({ ...http, allow: parseAllowList([...http.allow, ...own]) });
  const none = () => Promise.reject(new Error('no steps run here'));
  return createAgent({ settings, client, ownClient, ask, schemas: schemas ?? none }) as StepType;
}

function hostAndPort(url: string): string {
  const parsed = new URL(url);
  return `${parsed.hostname}:${portOf(parsed)}`;
}
