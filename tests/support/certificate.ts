/**
 * A certificate for tests of TLS, made by the openssl of the machine.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A key and a certificate of localhost that nobody vouches for; null where there is no openssl. */
export async function selfSigned(): Promise<{ key: Buffer; cert: Buffer } | null> {
  if (Bun.which('openssl') === null) return null;
  const folder = await mkdtemp(join(tmpdir(), 'certificate-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const form = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  try {
    await promisify(execFile)('openssl', [
      'req',
      ...form,
      '-keyout',
      key,
      '-out',
      cert,
      '-subj',
      '/CN=localhost',
    ]);
    return { key: await readFile(key), cert: await readFile(cert) };
  } finally {
    await rm(folder, { recursive: true });
  }
}
