/**
 * The house rules that a test can keep: rooms, sizes, words.
 */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { MUTANTS } from '../scripts/mutant-catalogue.ts';

const ROOT = join(import.meta.dir, '..');
const SOURCES = sources(ROOT);
const PRODUCT = SOURCES.filter((file) => !isTest(file));

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
    const allowed = /^(config\/config\.ts|bench\/|chaos\/|scripts\/|cli\/)/;
    const wrong = PRODUCT.filter((file) => !allowed.test(file) && /process\.env\b/.test(code(file)));
    expect(wrong).toEqual([]);
  });

  test('there are no utils, helpers, types, shapes of somebody else or constants', () => {
    const wrong = PRODUCT.filter((file) =>
      /(^|\/)((.*-)?(utils?|helpers?|(?<!step-)types)|.+-shapes|constants|common)\.ts$/.test(file),
    );
    expect(wrong).toEqual([]);
  });
});

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

describe('integration tests', () => {
  test('each that starts an engine asks the doctor', () => {
    const silent = SOURCES.filter(
      (file) => file.startsWith('tests/integration/') && startsEngine(file),
    ).filter((file) => !asksDoctor(file));
    expect(silent.sort()).toEqual(Object.keys(WITHOUT_DOCTOR).sort());
  });

  test('those that leave it to the engine that asks for keys are right: its stop does', () => {
    expect(code(GUARDED).split('stop: async () => {')[1]).toMatch(ASKS_DOCTOR);
  });
});

/** Do not ask the doctor, each with its reason. The list may only shrink. */
const WITHOUT_DOCTOR: Readonly<Record<string, string>> = {
  'tests/integration/chaos.test.ts': 'the harness asks the doctor itself, and ends with what it finds',
  'tests/integration/early-stop.test.ts':
    'the engine was never ready, and its embedded server has gone with it',
  'tests/integration/failed-start.test.ts': 'no engine of it ever ran anything',
};
const GUARDED = 'tests/support/guarded-engine.ts';
const ASKS_DOCTOR = /(\bawait|=>) assertInvariants\(/;
/** By calls, or by the file of a program. */
const STARTS_ENGINE =
  /\b(startEngine|startTestEngine|startEngineProcess|startRaceEngines|takeOverFromKilled|guardedEngine)\(|\b(OrderedEngine|Doors)\.|'execution-engine\.ts'|'chaos', 'main\.ts'/;

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

function startsEngine(file: string): boolean {
  return STARTS_ENGINE.test(code(file));
}

/** Itself, or by the stop of the engine that asks for keys. */
function asksDoctor(file: string): boolean {
  return ASKS_DOCTOR.test(code(file)) || /\bguardedEngine\([\s\S]*\.stop\(\)/.test(code(file));
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
