import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../config/config.ts';
import { loadStepTypes } from './step-types.ts';

const folder = mkdtempSync(join(tmpdir(), 'step-types-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a schema that is none is refused by the names of its module and its type', async () => {
  const type =
    "{ type: 'sms', summary: 'Sends.', schema: { properties: { to: { type: 'text' } } }, run: () => null }";
  writeFileSync(join(folder, 'sms.ts'), `export default ${type};\n`);
  const config = loadConfig({ EXECUTION_ENGINE_STEPS: './sms.ts' });
  await expect(loadStepTypes(config, folder)).rejects.toThrow(
    '- ./sms.ts: step type "sms": schema/properties/to/type:',
  );
});
