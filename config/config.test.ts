import { afterAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseAllowList } from '../steps/http/address.ts';
import { ConfigError, describeConfig, loadConfig } from './config.ts';

const KEY = 'a-key-of-sixteen-and-more';
const OTHER_KEY = 'another-key-of-sixteen';
const WORKSPACE = '0190b6d0-1111-7222-8333-444455556666';

const folder = mkdtempSync(join(tmpdir(), 'config-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

function secretsFile(content: string, mode = 0o600): string {
  const path = join(folder, `secrets-${Math.random()}.json`);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe('an empty environment', () => {
  const config = loadConfig({});

  test('gives the documented defaults', () => {
    expect(config).toMatchObject({
      port: 3020,
      host: 'localhost',
      databaseUrl: null,
      dataDir: resolve('.data'),
      databaseBackend: 'postgres',
      directUrl: null,
      pgbossSchema: 'pgboss',
      role: 'all',
      concurrency: 100,
      apiKeys: [],
      steps: [],
      httpAllow: [],
      secrets: {},
      masked: [],
      publicUrl: null,
      mailServer: null,
      mailFrom: null,
      logLevel: 'info',
      drainGraceMs: 10_000,
      retentionMs: null,
      warnings: [],
    });
    expect(config.limits).toEqual({
      maxBodyBytes: 10 * 1_048_576,
      maxIntakeBytes: 64 * 1_048_576,
      maxBacklog: 1_000_000,
      maxOutputBytes: 1_048_576,
      maxInputsBytes: 32 * 1_048_576,
      maxJsonDepth: 512,
      maxDefinitionBytes: 1_048_576,
      maxMetricTemplates: 100,
      maxLogLines: 200,
      maxLogBytes: 64 * 1_024,
      maxSteps: 10_000,
      maxForeachItems: 100_000,
      maxLoopIterations: 1_000,
      maxChildDepth: 16,
      httpMaxResponseBytes: 10 * 1_048_576,
      httpTimeoutMs: 30_000,
      scriptTimeoutMs: 5_000,
      scriptMemoryBytes: 32 * 1_048_576,
      stepMemoryBytes: null,
      stopGraceMs: 10_000,
    });
  });

  test('is frozen to its depth', () => {
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.limits)).toBe(true);
    expect(Object.isFrozen(config.httpAllow)).toBe(true);
    expect(Object.isFrozen(config.apiKeys)).toBe(true);
  });

  test('is the same as one with empty and blank variables', () => {
    const blank = Object.fromEntries(describeConfig().map(({ name }) => [name, ' ']));
    expect(loadConfig(blank)).toEqual(config);
  });

  test('is the same as one in which every default is written out', () => {
    const written = describeConfig().flatMap(({ name, default: preset }) =>
      preset === null ? [] : [[name, preset]],
    );
    expect(loadConfig(Object.fromEntries(written))).toEqual(config);
  });
});

test('a way past a pooler needs the way through it', () => {
  const env = { DATABASE_DIRECT_URL: 'postgres://localhost/x' };
  expect(() => loadConfig(env)).toThrow('DATABASE_DIRECT_URL is set without DATABASE_URL');
});

describe('a wrong value', () => {
  test.each([
    ['EXECUTION_ENGINE_PORT', 'http'],
    ['EXECUTION_ENGINE_PORT', '65536'],
    ['EXECUTION_ENGINE_PORT', '-1'],
    ['EXECUTION_ENGINE_PORT', '3020.5'],
    ['EXECUTION_ENGINE_PORT', '1e3'],
    ['EXECUTION_ENGINE_HOST', 'not a host'],
    ['EXECUTION_ENGINE_HOST', '10.0.0.300'],
    ['DATABASE_URL', 'mysql://localhost/x'],
    ['DATABASE_URL', 'localhost:5432'],
    ['DATABASE_BACKEND', 'pglite'],
    ['DATABASE_DIRECT_URL', 'localhost:6432'],
    ['EXECUTION_ENGINE_PGBOSS_SCHEMA', '1st'],
    ['EXECUTION_ENGINE_PGBOSS_SCHEMA', 'a";drop'],
    ['EXECUTION_ENGINE_PGBOSS_SCHEMA', 'x'.repeat(51)],
    ['EXECUTION_ENGINE_ROLE', 'API'],
    ['EXECUTION_ENGINE_CONCURRENCY', '0'],
    ['EXECUTION_ENGINE_API_KEYS', KEY],
    ['EXECUTION_ENGINE_API_KEYS', 'short=admin'],
    ['EXECUTION_ENGINE_API_KEYS', `${KEY}=`],
    ['EXECUTION_ENGINE_API_KEYS', `${KEY}=root`],
    ['EXECUTION_ENGINE_API_KEYS', `${KEY}=${WORKSPACE}:owner`],
    ['EXECUTION_ENGINE_API_KEYS', `${KEY}=${WORKSPACE}:viewer:admin`],
    ['EXECUTION_ENGINE_API_KEYS', `${KEY}=admin,${KEY}=${WORKSPACE}`],
    ['EXECUTION_ENGINE_API_KEYS', `a key with blanks in it=admin`],
    ['EXECUTION_ENGINE_JWKS_URL', 'https://main.example/jwks'],
    ['EXECUTION_ENGINE_JWT_SECRET', 'a-secret-of-the-main-server'],
    ['EXECUTION_ENGINE_PUBLIC_URL', 'flows.example'],
    ['EXECUTION_ENGINE_PUBLIC_URL', 'ftp://flows.example'],
    ['EXECUTION_ENGINE_PUBLIC_URL', 'https://flows.example?a=b'],
    ['EXECUTION_ENGINE_SMTP_URL', 'mail.example'],
    ['EXECUTION_ENGINE_SMTP_URL', 'http://mail.example'],
    ['EXECUTION_ENGINE_SMTP_URL', 'smtp://mail.example?secure=true'],
    ['EXECUTION_ENGINE_MAIL_FROM', 'flows'],
    ['EXECUTION_ENGINE_MAIL_FROM', 'a@b.example, c@d.example'],
    ['EXECUTION_ENGINE_LLM_URL', 'llm.example/v1'],
    ['EXECUTION_ENGINE_LLM_URL', 'ftp://llm.example/v1'],
    ['EXECUTION_ENGINE_LLM_URL', 'https://user:password@llm.example/v1'],
    ['EXECUTION_ENGINE_LLM_URL', 'https://llm.example/v1?key=1'],
    ['EXECUTION_ENGINE_LLM_URL', 'https://llm.example:0/v1'],
    ['EXECUTION_ENGINE_LLM_URL', 'https://-/v1'],
    ['EXECUTION_ENGINE_LLM_KEY', 'short'],
    ['EXECUTION_ENGINE_LLM_KEY', 'a key with blanks'],
    ['EXECUTION_ENGINE_HTTP_ALLOW', '10.0.0.0/33'],
    ['EXECUTION_ENGINE_HTTP_ALLOW', 'http://host/'],
    ['EXECUTION_ENGINE_HTTP_ALLOW', '*.*.example.org'],
    ['EXECUTION_ENGINE_HTTP_ALLOW', 'stock.internal:0'],
    ['EXECUTION_ENGINE_HTTP_ALLOW', '10.0.0.0/8:80'],
    ['EXECUTION_ENGINE_HTTP_ALLOW', '10.1'],
    ['EXECUTION_ENGINE_SECRETS_FILE', '/does/not/exist.json'],
    ['EXECUTION_ENGINE_LOG_LEVEL', 'verbose'],
    ['EXECUTION_ENGINE_DRAIN_GRACE', 'soon'],
    ['EXECUTION_ENGINE_DRAIN_GRACE', '2h'],
    ['EXECUTION_ENGINE_RETENTION', 'for ever'],
    ['EXECUTION_ENGINE_RETENTION', '0'],
    ['EXECUTION_ENGINE_RETENTION', '-1d'],
    ['EXECUTION_ENGINE_RETENTION', '40000d'],
    ['EXECUTION_ENGINE_MAX_BACKLOG', '0'],
    ['EXECUTION_ENGINE_MAX_BACKLOG', '1e6'],
    ['EXECUTION_ENGINE_MAX_BACKLOG', '1000000001'],
    ['EXECUTION_ENGINE_MAX_INTAKE_BYTES', '64 apples'],
    ['EXECUTION_ENGINE_MAX_BODY_BYTES', '10 apples'],
    ['EXECUTION_ENGINE_MAX_BODY_BYTES', '1'],
    ['EXECUTION_ENGINE_MAX_JSON_DEPTH', '0'],
    ['EXECUTION_ENGINE_HTTP_TIMEOUT', '0'],
    ['EXECUTION_ENGINE_SCRIPT_MEMORY_BYTES', '100GB'],
    ['EXECUTION_ENGINE_STEP_MEMORY', '15'],
    ['EXECUTION_ENGINE_STEP_MEMORY', '512 bytes'],
  ])('%s=%s is one line that names the variable and says what is accepted', (name, value) => {
    const problems = problemsOf({ [name]: value });
    expect(problems).toHaveLength(1);
    const accepted = describeConfig().find((variable) => variable.name === name)!.accepted;
    expect(problems[0]).toStartWith(`${name} `);
    expect(problems[0]).toEndWith(`; accepted: ${accepted}`);
    expect(problems[0]).not.toContain('\n');
  });

  test('does not hide another one', () => {
    const problems = problemsOf({
      EXECUTION_ENGINE_PORT: 'x',
      EXECUTION_ENGINE_HOST: '0.0.0.0',
      EXECUTION_ENGINE_ROLE: 'x',
      EXECUTION_ENGINE_MAX_STEPS: 'x',
    });
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
      'EXECUTION_ENGINE_PORT',
      'EXECUTION_ENGINE_ROLE',
      'EXECUTION_ENGINE_MAX_STEPS',
      'EXECUTION_ENGINE_HOST',
    ]);
  });

  test('is shown, but for a secret one', () => {
    expect(problemsOf({ EXECUTION_ENGINE_PORT: 'http' })[0]).toContain('"http"');
    const secret = 'p4ssw0rd-of-mine';
    const hidden = {
      DATABASE_URL: `mysql://me:${secret}@host/x`,
      EXECUTION_ENGINE_API_KEYS: `${secret}=nobody,x${secret}`,
      EXECUTION_ENGINE_JWT_SECRET: secret,
    };
    const problems = problemsOf(hidden);
    expect(problems).toHaveLength(4);
    expect(problems.join('\n')).not.toContain(secret);
  });
});

describe('the address', () => {
  test.each(['localhost', 'LOCALHOST', '127.0.0.1', '127.8.9.10', '::1', '[::1]', '::ffff:127.0.0.1'])(
    'may be %s without an API key',
    (host) => {
      expect(problemsOf({ EXECUTION_ENGINE_HOST: host })).toEqual([]);
    },
  );

  test.each(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'engine.internal', 'localhost.example.org'])(
    'may be %s only with an API key',
    (host) => {
      const problems = problemsOf({ EXECUTION_ENGINE_HOST: host });
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain('EXECUTION_ENGINE_API_KEYS');
      expect(problemsOf({ EXECUTION_ENGINE_HOST: host, EXECUTION_ENGINE_API_KEYS: `${KEY}=admin` })).toEqual(
        [],
      );
    },
  );
});

describe('API keys', () => {
  test('are kept as hashes with what they grant', () => {
    const value = `${KEY}=admin, ${OTHER_KEY}==${WORKSPACE.toUpperCase()}:viewer,yet-another-key-here=${WORKSPACE}`;
    const config = loadConfig({ EXECUTION_ENGINE_API_KEYS: value });
    const hash = (key: string) => createHash('sha256').update(key).digest('hex');
    expect(config.apiKeys).toEqual([
      { hash: hash(KEY), admin: true, workspaceId: null, role: 'admin' },
      { hash: hash(`${OTHER_KEY}=`), admin: false, workspaceId: WORKSPACE, role: 'viewer' },
      { hash: hash('yet-another-key-here'), admin: false, workspaceId: WORKSPACE, role: 'admin' },
    ]);
    expect(JSON.stringify(config)).not.toContain(KEY);
  });
});

describe('private destinations', () => {
  test('are CIDRs, addresses, host names and names below one, with or without a port', () => {
    const entries =
      '10.0.0.0/8,192.168.1.5,fd00::/8,::1,[::1],Stock.Internal.,localhost,stock.internal:8080,[::1]:80,*.svc.cluster.local,*.svc.cluster.local:443,10.1.2.3:80'.split(
        ',',
      );
    expect(loadConfig({ EXECUTION_ENGINE_HTTP_ALLOW: entries.join(' , ') }).httpAllow).toEqual(entries);
    expect(parseAllowList(entries)).toHaveLength(entries.length);
  });
});

describe('the mail server', () => {
  const maskedOf = (password: string) =>
    loadConfig({ EXECUTION_ENGINE_SMTP_URL: `smtps://flows:${password}@mail.example` }).masked;

  test('has a password that is masked, unless it is too short for that', () => {
    expect(maskedOf('p%40ssword-1')).toEqual(['p@ssword-1']);
    expect(maskedOf('short')).toEqual([]);
  });
});

describe('the language model', () => {
  const KEY = 'sk-key-of-the-model';

  test('has a key that is masked', () => {
    const env = { EXECUTION_ENGINE_LLM_URL: 'http://[::1]:11434/v1', EXECUTION_ENGINE_LLM_KEY: KEY };
    expect(loadConfig(env)).toMatchObject({ llmUrl: 'http://[::1]:11434/v1', llmKey: KEY, masked: [KEY] });
  });

  test('has no key without a URL', () => {
    const [problem, ...others] = problemsOf({ EXECUTION_ENGINE_LLM_KEY: KEY });
    expect(problem).toContain('EXECUTION_ENGINE_LLM_KEY is set without EXECUTION_ENGINE_LLM_URL');
    expect([problem!.includes(KEY), others]).toEqual([false, []]);
  });
});

describe('a list', () => {
  const NAMES: Record<string, string> = {
    EXECUTION_ENGINE_API_KEYS: 'a-key-of-16-characters=admin',
    EXECUTION_ENGINE_STEPS: './steps.ts',
    EXECUTION_ENGINE_HTTP_ALLOW: 'stock.internal',
  };

  test('is what says so', () => {
    const lists = describeConfig().filter(({ accepted }) => accepted.startsWith('a comma list'));
    expect(lists.map(({ name }) => name).sort()).toEqual(Object.keys(NAMES).sort());
  });

  test.each(Object.entries(NAMES))(
    '%s with an empty entry is refused, and not taken for none',
    (name, entry) => {
      expect(problemsOf({ [name]: entry })).toEqual([]);
      for (const [value, which] of [
        [',', 'number 1 of 2'],
        [`${entry},`, 'number 2 of 2'],
        [`,${entry}`, 'number 1 of 2'],
        [`${entry}, ,x`, 'number 2 of 3'],
      ] as const) {
        const [problem] = problemsOf({ [name]: value });
        expect(problem).toStartWith(`${name} has an empty entry (${which})`);
      }
    },
  );
});

describe('the secrets file', () => {
  test('gives names and values', () => {
    const path = secretsFile('{"TOKEN":"12345678","__proto__":"87654321"}');
    const { secrets, warnings } = loadConfig({ EXECUTION_ENGINE_SECRETS_FILE: path });
    expect(secrets.TOKEN).toBe('12345678');
    expect(Object.keys(secrets)).toEqual(['TOKEN', '__proto__']);
    expect(Object.isFrozen(secrets)).toBe(true);
    expect(warnings).toEqual([]);
  });

  test('that others can read is warned about', () => {
    const path = secretsFile('{"TOKEN":"12345678"}', 0o644);
    expect(loadConfig({ EXECUTION_ENGINE_SECRETS_FILE: path }).warnings).toHaveLength(1);
  });

  test.each([
    ['tell-tale', 1],
    ['"tell-tale-value"', 1],
    ['["tell-tale-value"]', 1],
    ['{"A":"tell-ta"}', 1],
    ['{"A":{"tell-tale":"tell-tale"},"B":12345678,"C-D":"tell-tale"}', 3],
  ])('%s is refused without showing a value', (content, count) => {
    const problems = problemsOf({ EXECUTION_ENGINE_SECRETS_FILE: secretsFile(content) });
    expect(problems).toHaveLength(count);
    expect(problems.join('\n')).not.toContain('tell-ta');
  });

  test('with a name twice, or broken, is refused with the line', () => {
    for (const [content, what] of [
      ['{"A":"tell-tale",\n"A":"tell-tales"}', 'has a name twice (line 2)'],
      ['{"A":"tell-tale",\n\n"B":tell}', 'is not valid JSON (line 3)'],
    ] as const) {
      const [problem] = problemsOf({ EXECUTION_ENGINE_SECRETS_FILE: secretsFile(content) });
      expect(problem).toStartWith(`EXECUTION_ENGINE_SECRETS_FILE names a file that ${what}`);
      expect(problem).not.toContain('tell');
    }
  });
});

describe('other values', () => {
  test('are read in the usual ways of writing them', () => {
    const config = loadConfig({
      EXECUTION_ENGINE_STEPS: './steps/a.ts , ./steps/b.ts',
      EXECUTION_ENGINE_MAX_BODY_BYTES: '2 MB',
      EXECUTION_ENGINE_MAX_OUTPUT_BYTES: '4096',
      EXECUTION_ENGINE_HTTP_TIMEOUT: '1500',
      EXECUTION_ENGINE_STOP_GRACE: '0',
      EXECUTION_ENGINE_STEP_MEMORY: '512',
      EXECUTION_ENGINE_RETENTION: '30d',
      DATABASE_URL: 'postgres:///engine?host=/run/postgresql',
    });
    expect(config.steps).toEqual(['./steps/a.ts', './steps/b.ts']);
    expect(config.limits.maxBodyBytes).toBe(2_000_000);
    expect(config.limits.maxOutputBytes).toBe(4_096);
    expect(config.limits.httpTimeoutMs).toBe(1_500);
    expect(config.limits.stopGraceMs).toBe(0);
    expect(config.limits.stepMemoryBytes).toBe(512 * 1_048_576);
    expect(config.retentionMs).toBe(30 * 24 * 3_600_000);
  });

  test('of an unknown name are warned about, with the name that was meant', () => {
    const { warnings } = loadConfig({
      EXECUTION_ENGINE_PROT: '1',
      EXECUTION_ENGINE_QUITE_NEW: '1',
      OTHER: '1',
    });
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('EXECUTION_ENGINE_PROT');
    expect(warnings[0]).toContain('Did you mean "EXECUTION_ENGINE_PORT"?');
    expect(warnings[1]).not.toContain('Did you mean');
  });

  test('of the command line client are known', () => {
    const env = { EXECUTION_ENGINE_URL: 'http://localhost:3020', EXECUTION_ENGINE_TOKEN: 'x' };
    expect(loadConfig(env).warnings).toEqual([]);
  });
});
