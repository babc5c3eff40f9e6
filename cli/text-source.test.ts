import { expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createTextSource } from './text-source.ts';

const refusal = (reading: Promise<string>) =>
  reading.then(
    () => 'none',
    (error: Error) => error.message,
  );

test('a file is read whole, and one that is not there is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'text-source-'));
  try {
    const text = 'é'.repeat(200_000);
    await writeFile(join(folder, 'a.yaml'), text);
    expect(await createTextSource().read(join(folder, 'a.yaml'))).toBe(text);
    expect(await refusal(createTextSource().read(join(folder, 'b.yaml')))).toContain('b.yaml: ENOENT');
    expect(await refusal(createTextSource().read(folder))).toContain('EISDIR');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('standard input is read whole, and once', async () => {
  const source = createTextSource(Readable.from([Buffer.from('a: '), Buffer.from('1')]));
  expect(await source.read('-')).toBe('a: 1');
  expect(await refusal(source.read('-'))).toContain('once');
});

test('a text without end is refused when it is too long', async () => {
  const endless = (function* () {
    for (;;) yield Buffer.alloc(2 ** 20, 0x20);
  })();
  expect(await refusal(createTextSource(Readable.from(endless)).read('-'))).toContain('has more than 64 MiB');
});

test.if(process.platform === 'linux')('a device without end is refused as well', async () => {
  expect(await refusal(createTextSource().read('/dev/zero'))).toContain('/dev/zero has more than');
});
