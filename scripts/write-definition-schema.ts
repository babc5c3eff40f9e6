/**
 * Writes definition/definition.schema.json: the definition format with the built-in step types, for editors.
 *
 * Run it after a change of the format or of a step type's parameters; a test compares the file.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { definitionSchema } from '../definition/definition-schema.ts';
import { createStepTypes } from '../steps/registry.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const path = 'definition/definition.schema.json';

// The settings are of the running engine and are not in the schemas.
const stepTypes = createStepTypes({
  http: { allow: [], maxResponseBytes: 1, timeoutMs: 1 },
  script: { timeoutMs: 1, memoryBytes: 1 },
});
writeFileSync(
  new URL(`../${path}`, import.meta.url),
  `${JSON.stringify(definitionSchema(stepTypes), null, 2)}\n`,
);
const formatted = spawnSync('node_modules/.bin/biome', ['format', '--write', path], {
  cwd: root,
  stdio: 'inherit',
});
process.exitCode = formatted.status ?? 1;
