/**
 * Every environment variable of the engine: its name, default, accepted values and purpose. Both the configuration and
 * its documentation are made from this table.
 */

import { BACKENDS } from '../db/connection/features.ts';
import { ADDRESS_ACCEPTED, type MailAddress } from '../steps/email/address.ts';
import { SMTP_URL_ACCEPTED, type SmtpServer } from '../steps/email/smtp-server.ts';
import {
  type ApiKey,
  apiKeys,
  databaseUrl,
  durationOrNone,
  host,
  httpAllow,
  integer,
  KEY_ROLES,
  list,
  mailAddress,
  memory,
  oneOf,
  secretsFile,
  smtpServer,
  text,
  unsupported,
} from './values.ts';
import { count, DAY_MS, GIB, HOUR_MS, MIB, optional, preset, size, time } from './variable.ts';

/** By the name of the configuration's field. */
export const VARIABLES = {
  port: preset(
    'EXECUTION_ENGINE_PORT',
    '3020',
    integer(0, 65_535),
    'a whole number from 0 (any free port) to 65535',
    'Port of the HTTP API.',
  ),
  host: preset(
    'EXECUTION_ENGINE_HOST',
    'localhost',
    host(),
    'a host name or an address; without API keys a loopback one (localhost, 127.0.0.0/8, ::1)',
    'Address the HTTP API listens on.',
  ),
  databaseUrl: optional<string | null>(
    'DATABASE_URL',
    null,
    databaseUrl(),
    'a URL such as postgres://user:password@host:5432/name',
    'The PostgreSQL to use. Unset: an embedded one is started.',
    true,
  ),
  directUrl: optional<string | null>(
    'DATABASE_DIRECT_URL',
    null,
    databaseUrl(),
    'a URL such as DATABASE_URL',
    'The same database past a pooler in transaction mode: for LISTEN, the lease, migrations and pg-boss.',
    true,
  ),
  dataDir: preset(
    'EXECUTION_ENGINE_DATA_DIR',
    '.data',
    text(/^[^\0]+$/, 'is not a path'),
    'a path; a relative one starts at the working directory',
    'Where the embedded PostgreSQL keeps its data.',
  ),
  databaseBackend: preset(
    'DATABASE_BACKEND',
    'postgres',
    oneOf(BACKENDS),
    'postgres, citus, cockroachdb or yugabytedb',
    'What kind of database DATABASE_URL names; others than postgres switch to portable mode.',
  ),
  pgbossSchema: preset(
    'EXECUTION_ENGINE_PGBOSS_SCHEMA',
    'pgboss',
    text(/^[A-Za-z_][A-Za-z0-9_]{0,49}$/, 'is not a name of a schema'),
    'letters, digits and underscores, up to 50, not starting with a digit',
    "Schema of pg-boss's own tables.",
  ),
  role: preset(
    'EXECUTION_ENGINE_ROLE',
    'all',
    oneOf(['all', 'api', 'worker'] as const),
    'all, api or worker',
    'Which part of the engine this process is.',
  ),
  concurrency: preset(
    'EXECUTION_ENGINE_CONCURRENCY',
    '100',
    integer(1, 100_000),
    'a whole number from 1 to 100000',
    'Most steps that run at a time in this process.',
  ),
  apiKeys: optional<readonly ApiKey[]>(
    'EXECUTION_ENGINE_API_KEYS',
    [],
    apiKeys(),
    `a comma list of key=admin or key=<workspace uuid>[:role]; keys of 16 characters or more, roles ${KEY_ROLES.join(', ')} (admin of the workspace when left out)`,
    'Who may use the API. Without any it serves loopback only.',
    true,
  ),
  jwksUrl: optional<string | null>(
    'EXECUTION_ENGINE_JWKS_URL',
    null,
    unsupported<string>('is not supported by this version'),
    'nothing yet; use EXECUTION_ENGINE_API_KEYS',
    "Where the keys of the main server's JWTs are.",
    true,
  ),
  jwtSecret: optional<string | null>(
    'EXECUTION_ENGINE_JWT_SECRET',
    null,
    unsupported<string>('is not supported by this version'),
    'nothing yet; use EXECUTION_ENGINE_API_KEYS',
    "Shared secret of the main server's JWTs.",
    true,
  ),
  steps: optional<readonly string[]>(
    'EXECUTION_ENGINE_STEPS',
    [],
    list(),
    'a comma list of module paths',
    'Modules with step types of your own.',
  ),
  httpAllow: optional<readonly string[]>(
    'EXECUTION_ENGINE_HTTP_ALLOW',
    [],
    httpAllow(),
    'a comma list of CIDRs (10.1.0.0/16), addresses (10.1.2.3, ::1), host names (stock.internal) and names below one (*.svc.cluster.local), all but CIDRs also with a port (stock.internal:8080, [::1]:8080)',
    'Private destinations that outgoing calls may reach.',
  ),
  secrets: optional<Readonly<Record<string, string>>>(
    'EXECUTION_ENGINE_SECRETS_FILE',
    {},
    secretsFile(),
    'the path of a JSON object of names (letters, digits, underscores) and values of 8 characters or more',
    'Values for secrets.<NAME> in expressions; masked in outputs, errors and logs.',
  ),
  mailServer: optional<SmtpServer | null>(
    'EXECUTION_ENGINE_SMTP_URL',
    null,
    smtpServer(),
    SMTP_URL_ACCEPTED,
    'The mail server of email steps.',
    true,
  ),
  mailFrom: optional<MailAddress | null>(
    'EXECUTION_ENGINE_MAIL_FROM',
    null,
    mailAddress(),
    ADDRESS_ACCEPTED,
    'Sender of email steps that name none; the others must have its domain.',
  ),
  logLevel: preset(
    'EXECUTION_ENGINE_LOG_LEVEL',
    'info',
    oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const),
    'trace, debug, info, warn, error, fatal or silent',
    'Least severe lines that are logged.',
  ),
  drainGraceMs: time(
    'EXECUTION_ENGINE_DRAIN_GRACE',
    '10s',
    'How long running steps may go on when the engine is told to end.',
    [0, HOUR_MS],
    'up to 1h',
  ),
  retentionMs: preset(
    'EXECUTION_ENGINE_RETENTION',
    'none',
    durationOrNone(60_000, 36_500 * DAY_MS),
    'none, or a duration from 1m to 36500d, such as 12h or 30d',
    'How long executions are kept once they are final; none: for ever.',
  ),
} as const;

/** Limits, by the name of the field of `config.limits`. */
export const LIMITS = {
  maxBodyBytes: size('EXECUTION_ENGINE_MAX_BODY_BYTES', '10MiB', 'Largest request body.'),
  maxIntakeBytes: size(
    'EXECUTION_ENGINE_MAX_INTAKE_BYTES',
    '64MiB',
    'Most bytes of request bodies in memory at a time, shared by the workspaces; more are answered 429.',
  ),
  maxBacklog: count(
    'EXECUTION_ENGINE_MAX_BACKLOG',
    '1000000',
    1_000_000_000,
    'Most pending executions; with more of them starts are answered 429.',
  ),
  maxOutputBytes: size('EXECUTION_ENGINE_MAX_OUTPUT_BYTES', '1MiB', 'Largest output of one step, as JSON.'),
  maxInputsBytes: size(
    'EXECUTION_ENGINE_MAX_INPUTS_BYTES',
    '32MiB',
    'Most bytes of outputs read together: by one step, for the output of an execution, or by `include=outputs`.',
  ),
  maxJsonDepth: count('EXECUTION_ENGINE_MAX_JSON_DEPTH', '512', 5_000, 'Deepest nesting of a JSON value.'),
  maxDefinitionBytes: size('EXECUTION_ENGINE_MAX_DEFINITION_BYTES', '1MiB', 'Largest workflow definition.'),
  maxMetricTemplates: count(
    'EXECUTION_ENGINE_MAX_METRIC_TEMPLATES',
    '100',
    10_000,
    'Most templates that metrics tell apart in one process; the others are counted together, as _other.',
  ),
  maxSteps: count('EXECUTION_ENGINE_MAX_STEPS', '10000', 100_000, 'Most steps of a definition.'),
  httpMaxResponseBytes: size(
    'EXECUTION_ENGINE_HTTP_MAX_RESPONSE_BYTES',
    '10MiB',
    'Largest response an http step reads.',
  ),
  httpTimeoutMs: time(
    'EXECUTION_ENGINE_HTTP_TIMEOUT',
    '30s',
    'How long an http step waits for its response, unless it says so itself.',
    [1, DAY_MS],
    'from 1ms to 1d',
  ),
  scriptTimeoutMs: time(
    'EXECUTION_ENGINE_SCRIPT_TIMEOUT',
    '5s',
    'How long a script step may run, unless it says so itself.',
    [1, HOUR_MS],
    'from 1ms to 1h',
  ),
  scriptMemoryBytes: size(
    'EXECUTION_ENGINE_SCRIPT_MEMORY_BYTES',
    '32MiB',
    'How much memory a script step may use, unless it says so itself.',
    MIB,
  ),
  stepMemoryBytes: optional<number | null>(
    'EXECUTION_ENGINE_STEP_MEMORY',
    null,
    memory(16 * MIB, 1_024 * GIB),
    'a number of MiB from 16 to 1048576, or a size such as 512MiB or 2GB',
    'Memory that the handlers in one process of step types of your own may use together; on Linux. Unset: what there is.',
  ),
  stopGraceMs: time(
    'EXECUTION_ENGINE_STOP_GRACE',
    '10s',
    'How long running steps of a stopped execution may go on.',
    [0, HOUR_MS],
    'up to 1h',
  ),
} as const;
