/**
 * The environment, read once and checked as a whole: a frozen Config, or every problem at once.
 *
 * The only reader of `process.env`. An empty variable counts as not set. The variables themselves are in variables.ts,
 * the kinds of values in values.ts.
 *
 * Invariants
 * 1. No message contains a secret, an API key, or a URL with a password.
 * 2. Without API keys the engine listens on loopback only.
 */
import { resolve } from 'node:path';
import type { z } from 'zod';
import { didYouMean } from '../core/text/nearest.ts';
import { isLoopback, isReadableByOthers, SHORTEST_SECRET } from './values.ts';
import type { Variable } from './variable.ts';
import { LIMITS, VARIABLES } from './variables.ts';

type Env = Readonly<Record<string, string | undefined>>;
type Table = Readonly<Record<string, Variable<unknown>>>;
type Values<T extends Table> = { readonly [K in keyof T]: T[K] extends Variable<infer V> ? V : never };

/** Sizes in bytes, times in milliseconds. */
export type Limits = Values<typeof LIMITS>;

/** One field per variable (`jwksUrl` and `jwtSecret` are always null in this version). */
export interface Config extends Values<typeof VARIABLES> {
  readonly limits: Limits;
  /** Texts that are replaced by `***` wherever they would be stored, answered or logged. */
  readonly masked: readonly string[];
  /** Of the launcher that started this process, scripts/bun.mjs; null: it was started without one. */
  readonly launcherPid: number | null;
  /** Lines to log at the start: unknown names, files that others can read. */
  readonly warnings: readonly string[];
}

/** The environment is wrong. `problems` has one line each; `message` has them all. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The configuration is wrong:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const LONGEST_SHOWN_VALUE = 60;
const PREFIX = 'EXECUTION_ENGINE_';
/** Read by the command line client, which shares the environment with an engine on the same machine. */
const CLIENT_NAMES = ['EXECUTION_ENGINE_URL', 'EXECUTION_ENGINE_TOKEN'];
/** Written by the launcher for the process that it starts; no setting. */
const LAUNCHER_NAME = 'EXECUTION_ENGINE_LAUNCHER_PID';

/** Reads and checks the environment, and the secrets file it names. Throws ConfigError. */
export function loadConfig(env: Env): Config {
  const problems: string[] = [];
  const values = readTable(VARIABLES, env, problems);
  const limits = readTable(LIMITS, env, problems);
  problems.push(...exposureProblems(values), ...directProblems(values), ...keyProblems(values));
  if (problems.length > 0) throw new ConfigError(problems);
  return deepFreeze({
    ...values,
    dataDir: resolve(values.dataDir),
    limits,
    masked: maskedOf(values),
    launcherPid: launcherPidOf(env),
    warnings: warningsOf(env),
  });
}

/** Fields whose own value was refused are missing. */
function exposureProblems({ host, apiKeys }: Partial<Values<typeof VARIABLES>>): string[] {
  if (host === undefined || isLoopback(host) || apiKeys?.length !== 0) return [];
  return [
    `${VARIABLES.host.name} is "${host}", which others can reach, and no API key is set; accepted: a loopback ` +
      `address (localhost, 127.0.0.0/8, ::1), or any address together with ${VARIABLES.apiKeys.name}`,
  ];
}

function directProblems({ databaseUrl, directUrl }: Partial<Values<typeof VARIABLES>>): string[] {
  if (directUrl == null || databaseUrl !== null) return [];
  return [
    `${VARIABLES.directUrl.name} is set without ${VARIABLES.databaseUrl.name}; accepted: both, or none`,
  ];
}

function keyProblems({ llmUrl, llmKey }: Partial<Values<typeof VARIABLES>>): string[] {
  if (llmKey == null || llmUrl !== null) return [];
  return [`${VARIABLES.llmKey.name} is set without ${VARIABLES.llmUrl.name}; accepted: both, or none`];
}

/** `loadConfig` of this process's environment. */
export function loadProcessConfig(): Config {
  return loadConfig(process.env);
}

/** Every variable, for documentation: name, default as it would be written (null: none), accepted, meaning. */
export function describeConfig(): {
  name: string;
  default: string | null;
  accepted: string;
  meaning: string;
}[] {
  return allVariables().map(({ name, default: preset, accepted, meaning }) => ({
    name,
    default: preset,
    accepted,
    meaning,
  }));
}

function allVariables(): Variable<unknown>[] {
  return [...Object.values(VARIABLES), ...Object.values(LIMITS)];
}

/** Values that are refused are left out, and `problems` is not empty then. */
function readTable<T extends Table>(table: T, env: Env, problems: string[]): Values<T> {
  const values: Record<string, unknown> = {};
  for (const [field, variable] of Object.entries(table)) {
    const value = env[variable.name]?.trim() ?? '';
    if (value === '') {
      values[field] = variable.unset;
      continue;
    }
    const result = variable.schema.safeParse(value);
    if (result.success) values[field] = result.data;
    else problems.push(...describe(variable, value, result.error));
  }
  return values as Values<T>;
}

function describe(variable: Variable<unknown>, value: string, error: z.ZodError): string[] {
  const shown = value.length > LONGEST_SHOWN_VALUE ? `${value.slice(0, LONGEST_SHOWN_VALUE)}…` : value;
  const found = variable.secret ? '' : ` (${JSON.stringify(shown)})`;
  return error.issues.map(
    ({ message }) => `${variable.name} ${message}${found}; accepted: ${variable.accepted}`,
  );
}

/** A shorter password is not masked: that would maim data. */
function maskedOf({ secrets, mailServer, llmKey }: Values<typeof VARIABLES>): string[] {
  const settings = [mailServer?.login?.pass ?? '', llmKey ?? ''];
  return [...Object.values(secrets), ...settings.filter(({ length }) => length >= SHORTEST_SECRET)];
}

function launcherPidOf(env: Env): number | null {
  const pid = env[LAUNCHER_NAME] ?? '';
  return /^[1-9]\d{0,9}$/.test(pid) ? Number(pid) : null;
}

function warningsOf(env: Env): string[] {
  const known = [...allVariables().map(({ name }) => name), ...CLIENT_NAMES, LAUNCHER_NAME];
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && !known.includes(name))
    .map((name) => `${name} is not a setting of this version and is ignored.${didYouMean(name, known)}`);
  const secretsPath = env[VARIABLES.secrets.name]?.trim();
  if (secretsPath && isReadableByOthers(secretsPath)) {
    warnings.push(
      `${VARIABLES.secrets.name} names a file that every user of this machine may read: chmod 600 it.`,
    );
  }
  return warnings;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
