/**
 * The house rules that a test can keep: rooms, sizes, words.
 */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { LIMITS, VARIABLES } from '../config/variables.ts';
import { MUTANTS } from '../scripts/mutant-catalogue.ts';

const ROOT = join(import.meta.dir, '..');
const SOURCES = sources(ROOT);
const PRODUCT = SOURCES.filter((file) => !isTest(file));
/** And what supports them. */
const TESTS = SOURCES.filter((file) => isTest(file) && file !== 'tests/tidy.test.ts');

/** Without the programs around it: benchmarks, chaos, scripts, examples. */
const ROOMS_OF_THE_ENGINE = PRODUCT.filter((file) => !/^(bench|chaos|fuzz|scripts|examples)\//.test(file));

/** A room sees itself and the rooms below it; rooms of one level do not see each other. */
const LEVELS: readonly (readonly string[])[] = [
  ['core'],
  ['process'],
  ['definition', 'db', 'steps', 'expression', 'telemetry'],
  ['template', 'payload', 'queue', 'config', 'embedded'],
  ['door'],
  ['services', 'worker'],
  ['api', 'maintenance', 'client'],
  ['engine'],
  ['.'],
  ['cli', 'bench', 'chaos', 'examples', 'scripts'],
];

describe('rooms', () => {
  test('a file imports only from its own room or from a lower one', () => {
    const wrong = PRODUCT.flatMap((file) =>
      imports(file)
        .filter((target) => !mayImport(file, target))
        .map((target) => `${file} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test('there is no import cycle, types included', () => {
    expect(cycleOf(importGraph('types'))).toEqual([]);
  });

  test('an import chain has at most 16 files with types, and 12 without', () => {
    expect(longestChain(importGraph('types')).length).toBeLessThanOrEqual(16);
    expect(longestChain(importGraph('values')).length).toBeLessThanOrEqual(12);
  });

  test('statements in SQL are in db/ and queue/ alone', () => {
    const wrong = ROOMS_OF_THE_ENGINE.filter((file) => !/^(db|queue)\//.test(file)).filter((file) =>
      /['"`]\s*(select\s|insert into\s|update\s\w+\s+set\s|delete from\s|with\s+\w+\s+as\s*\()/i.test(
        code(file),
      ),
    );
    expect(wrong).toEqual([]);
  });

  test('only queue/ and the benchmark import pg-boss, and only db/ and queue/ import pg', () => {
    const wrong = PRODUCT.filter((file) => !/^(queue|bench|db)\//.test(file)).filter((file) =>
      /from '(pg|pg-boss)'/.test(read(file)),
    );
    expect(wrong).toEqual([]);
  });

  test('the core is pure: no clock, no randomness, no I/O', () => {
    const wrong = PRODUCT.filter((file) => file.startsWith('core/')).filter((file) =>
      /Math\.random|Date\.now|new Date\(\)|performance\.now|from 'node:(?!crypto')|\basync\b|setTimeout/.test(
        code(file),
      ),
    );
    expect(wrong).toEqual([]);
  });

  test('only the configuration reads the environment', () => {
    const allowed = /^(config\/config\.ts|bench\/|chaos\/|scripts\/|cli\/|examples\/workers\/)/;
    const wrong = PRODUCT.filter((file) => !allowed.test(file) && /process\.env\b/.test(code(file)));
    expect(wrong).toEqual([]);
  });

  test('the engine reads every setting', () => {
    const text = ROOMS_OF_THE_ENGINE.filter((file) => !file.startsWith('config/'))
      .map(code)
      .join('\n');
    const settings = Object.entries({ ...VARIABLES, ...LIMITS });
    const unread = settings.filter(([field, { name }]) => !(name in REFUSED) && !readOf(field).test(text));
    expect(unread.map(([, { name }]) => name)).toEqual([]);
  });

  test('there are no utils, helpers, types, shapes of somebody else or constants', () => {
    const wrong = PRODUCT.filter((file) =>
      /(^|\/)((.*-)?(utils?|helpers?|(?<!step-)types)|.+-shapes|constants|common)\.ts$/.test(file),
    );
    expect(wrong).toEqual([]);
  });
});

/** Settings of the contract that this version refuses, so nothing reads them. The list may only shrink. */
const REFUSED: Readonly<Record<string, string>> = {
  EXECUTION_ENGINE_JWKS_URL: 'JWTs are not accepted yet',
  EXECUTION_ENGINE_JWT_SECRET: 'JWTs are not accepted yet',
};

/** A field of the configuration or its limits, by its path or taken out of them. */
function readOf(field: string): RegExp {
  return new RegExp(
    `\\b(config|limits)\\.${field}\\b|\\b${field}\\b[^{}]*\\}(: (Config|\\w*Settings)| = [\\w.#]*(config|limits))\\b`,
  );
}

describe('sizes', () => {
  test('no file is longer than 350 lines', () => {
    const long = PRODUCT.map((file) => [file, read(file).split('\n').length - 1] as const).filter(
      ([, lines]) => lines > 350,
    );
    expect(long.filter(([file]) => !(file in LONG_FILES))).toEqual([]);
  });

  test('no folder has more than 20 source files beside its subfolders', () => {
    const files = SOURCES.filter((file) => !file.endsWith('.test.ts'));
    const folders = Map.groupBy(files, (file) => dirname(file));
    expect([...folders].filter(([, list]) => list.length > 20).map(([folder]) => folder)).toEqual([]);
  });

  test('the root has one code file', () => {
    expect(SOURCES.filter((file) => !file.includes('/'))).toEqual(['execution-engine.ts']);
  });

  test('every file says at its head what it is for', () => {
    const silent = PRODUCT.filter((file) => file.endsWith('.ts') && !/^(#!.*\n)?\/\*\*/.test(read(file)));
    expect(silent).toEqual([]);
  });
});

/** Longer than the rule, each with its reason. The list may only shrink. */
const LONG_FILES: Readonly<Record<string, string>> = {};

describe('tests', () => {
  test('of whole engines are in a folder of their subject', () => {
    expect(TESTS.filter((file) => /^tests\/integration\/[^/]+$/.test(file))).toEqual([]);
  });

  test('start engines by the fixture alone, which asks the doctor at the end', () => {
    const direct = TESTS.filter((file) => STARTS_ENGINE.test(code(file)));
    expect(direct.sort()).toEqual(Object.keys(WITHOUT_FIXTURE).sort());
  });

  test('keep the doctor away from none of their databases without a reason', () => {
    const silent = TESTS.filter((file) => /\bwithoutDoctor\b/.test(code(file)));
    expect(silent.sort()).toEqual(Object.keys(WITHOUT_DOCTOR).sort());
  });

  test('have one time limit, which scripts/bun.mjs gives them', () => {
    const own = TESTS.filter((file) => /\bsetDefaultTimeout\(|^\s*\}, [\d_]+\);$/m.test(code(file)));
    expect(own.sort()).toEqual(Object.keys(OWN_LIMITS).sort());
  });

  test('are made smaller by tests/support/core/size.ts alone, so that .ci/run runs them in full', () => {
    const own = TESTS.filter((file) => /\bEXECUTION_ENGINE_HEAVY\b/.test(code(file)));
    expect(own).toEqual(['tests/support/core/size.ts']);
  });

  test('do not sleep', () => {
    const sleeps = TESTS.map((file) => [file, [...code(file).matchAll(SLEEP)].length] as const);
    const expected = Object.entries(SLEEPS).map(([file, [count]]) => [file, count] as const);
    expect(Object.fromEntries(sleeps.filter(([, count]) => count > 0))).toEqual(Object.fromEntries(expected));
  });
});

/** Limits of their own, each with its reason. The list may only shrink. */
const OWN_LIMITS: Readonly<Record<string, string>> = {
  'tests/integration/database/listen.test.ts': 'shorter than the wait that must not be waited for',
  'tests/integration/api/api-wait.test.ts': 'shorter than the wait that must not be waited for',
  'tests/integration/api/crowd.test.ts': 'as long as the wait of its clients',
  'tests/integration/executions/join-race.test.ts': '200 races where they are asked for',
};

/** A function of tests/support/engine.ts or of the engine, a fixture that no hook ends, or the file of a program. */
const STARTS_ENGINE =
  /\b(startEngine|startTestEngine|startEngineProcess|engineDatabase)\b|\bnew Fixture\b|(?<!toContain\()'execution-engine\.ts'|'chaos', 'main\.ts'/;

/** Start engines by other ways, each with its reason. The list may only shrink. */
const WITHOUT_FIXTURE: Readonly<Record<string, string>> = {
  'tests/support/engine.ts': 'the functions that start them',
  'tests/support/fixture.ts': 'the fixture',
  'tests/support/fixture.test.ts': 'fixtures that are ended by the test itself',
  'tests/support/chaos-run.ts': 'the harness asks the doctor itself, and ends with what it finds',
  'tests/integration/executions/masking.test.ts': 'the engine cannot use its database',
  'tests/integration/engines/launcher.test.ts': 'the launcher starts it, or is gone',
  'tests/support/start-alone.ts': 'a start that fails',
  'tests/integration/engines/early-stop.test.ts':
    'the engine was never ready, and its embedded server has gone with it',
  'tests/integration/engines/failed-start.test.ts': 'no engine of it ever ran anything',
};

/** The doctor is kept away, each with its reason. The list may only shrink. */
const WITHOUT_DOCTOR: Readonly<Record<string, string>> = {
  'tests/support/fixture.ts': 'the option',
  'tests/support/fixture.test.ts': 'what the option does',
  'tests/integration/doctor/doctor.test.ts': 'every test damages its database, and asks the doctor about it',
};

const SLEEP =
  /\bsetTimeout(\(| as\b)|\bsetTimeout\b.*'node:timers\/promises'|\b(sleep\w*|delay|pg_sleep)\(|\bAtomics\.wait\(|\bscheduler\.wait\(/g;

/** Where something waits, how often, and why that is no sleep of a test. The list may only shrink. */
const SLEEPS: Readonly<Record<string, readonly [count: number, reason: string]>> = {
  'tests/support/until.ts': [1, 'the pause between two looks, by which all tests wait'],
  'tests/support/steps/recording.ts': [2, 'step types that take as long as they are told'],
  'worker/hosts/hosts.test.ts': [2, 'a module that takes long to load, and a step that takes a while'],
  'db/connection/client.test.ts': [1, 'a statement that goes on until it is cancelled'],
  'expression/sandbox/bombs.test.ts': [1, 'the engine itself is frozen'],
};

test('a transaction is run again when what failed it passes', () => {
  const wrong = PRODUCT.filter((file) => !RUNS_TRANSACTIONS.has(file)).filter((file) =>
    /\bwithTransaction\(/.test(code(file)),
  );
  expect(wrong).toEqual([]);
});

/** What runs a transaction again, by one of two rules. */
const RUNS_TRANSACTIONS = new Set([
  'db/connection/client.ts',
  'db/connection/transact.ts',
  'door/locked-commit.ts',
]);

test('the text that each mutant replaces is in its file once', () => {
  const gone = MUTANTS.filter(({ file, find }) => read(file).split(find).length !== 2);
  expect(gone.map(({ name }) => name)).toEqual([]);
});

test('the tests that each mutant names are there', () => {
  const named = [...new Set(MUTANTS.flatMap(({ tests }) => tests))];
  const tests = SOURCES.filter((file) => file.endsWith('.test.ts'));
  expect(named.filter((path) => !tests.some((file) => file.startsWith(path)))).toEqual([]);
});

describe('words', () => {
  test('cancelled is spelled the British way, and nothing is left to do', () => {
    const american = new RegExp(`\\bcancel${'ed'}\\b|\\bcancel${'ing'}\\b`, 'i');
    const leftover = new RegExp(
      `\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|${['X', 'XX'].join('')})\\b`,
    );
    const wrong = SOURCES.filter((file) => american.test(read(file)) || leftover.test(read(file)));
    expect(wrong).toEqual([]);
  });

  test('a maximum is called MAX, a private member #, and what a function returns is what it Returns', () => {
    const wrong = SOURCES.filter((file) =>
      /\bMOST_[A-Z]|^\s*private (?!constructor)|\bAnswers (whether|why|how|what|false|null|true)\b/m.test(
        file === 'tests/tidy.test.ts' ? '' : read(file),
      ),
    );
    expect(wrong).toEqual([]);
  });

  test('no statement selects every column', () => {
    const wrong = PRODUCT.filter((file) => file.startsWith('db/')).filter((file) =>
      /select \* from (?!unnest)/i.test(code(file)),
    );
    expect(wrong).toEqual([]);
  });
});

function sources(folder: string): string[] {
  const skipped = new Set(['node_modules', '.data', '.git', 'results', 'peers', 'dist']);
  return readdirSync(folder, { withFileTypes: true, recursive: false }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : sources(path);
    return /\.(ts|mjs)$/.test(entry.name) ? [relative(ROOT, path)] : [];
  });
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts') || file.startsWith('tests/');
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** Without comments. */
function code(file: string): string {
  return read(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');
}

function imports(file: string): string[] {
  return [...read(file).matchAll(/from '(\.[^']+)'/g)].map(([, target]) =>
    normalize(join(dirname(file), target!)),
  );
}

type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** @param kind whether imports of types alone count */
function importGraph(kind: 'types' | 'values'): ImportGraph {
  const files = new Set(ROOMS_OF_THE_ENGINE);
  return new Map(
    ROOMS_OF_THE_ENGINE.map((file) => {
      const all = [...read(file).matchAll(/^(?:import|export) (type )?([^;]*?) ?(?:from )?'(\.[^']+)'/gms)];
      const counted = all.filter(([, type, names]) => kind === 'types' || !(type || onlyTypes(names!)));
      const targets = counted.map(([, , , target]) => normalize(join(dirname(file), target!)));
      return [file, targets.filter((target) => files.has(target))];
    }),
  );
}

function onlyTypes(names: string): boolean {
  const list = /^\{([^}]*)\}$/
    .exec(names.trim())?.[1]
    ?.split(',')
    .map((name) => name.trim());
  return list?.filter(Boolean).every((name) => name.startsWith('type ')) ?? false;
}

/** The files of a cycle; []: there is none. */
function cycleOf(graph: ImportGraph): string[] {
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const target of graph.get(file) ?? []) {
      const cycle = walk(target, [...path, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  return [...graph.keys()].map((file) => walk(file, [])).find((cycle) => cycle.length > 0) ?? [];
}

function longestChain(graph: ImportGraph): string[] {
  const chains = new Map<string, string[]>();
  const chainOf = (file: string): string[] => {
    const known = chains.get(file);
    if (known !== undefined) return known;
    const below = (graph.get(file) ?? []).map(chainOf);
    const chain = [
      file,
      ...below.reduce((longest, each) => (each.length > longest.length ? each : longest), []),
    ];
    chains.set(file, chain);
    return chain;
  };
  return [...graph.keys()].map(chainOf).reduce((a, b) => (b.length > a.length ? b : a), []);
}

function room(file: string): string {
  return file.includes('/') ? file.split('/')[0]! : '.';
}

function mayImport(file: string, target: string): boolean {
  const from = room(file);
  const to = room(target);
  if (from === to || target === 'package.json') return true;
  return level(to) < level(from);
}

function level(name: string): number {
  return LEVELS.findIndex((rooms) => rooms.includes(name));
}
