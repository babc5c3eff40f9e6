/**
 * A PostgreSQL with TLS: an embedded one with a certificate for `localhost`, signed by an authority of its own.
 */
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../../embedded/postgres.ts';
import { until } from '../until.ts';

export interface TlsServer {
  /** By its address, without TLS. */
  readonly url: string;
  /** The certificate of the authority. */
  readonly authority: string;
  /** One of another authority. */
  readonly stranger: string;
  turn(tls: 'on' | 'off'): Promise<void>;
  stop(): Promise<void>;
}

function openssl(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(['openssl', ...args], { stderr: 'pipe', stdout: 'ignore' });
  if (exitCode !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}

function makeAuthority(folder: string, name: string): string {
  const [key, certificate] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    key,
    '-out',
    certificate,
  );
  return certificate;
}

export async function startTlsServer(): Promise<TlsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'execution-engine-tls-'));
  chmodSync(folder, 0o755);
  const server = await startEmbeddedPostgres({
    dataDir: join(folder, 'data'),
    log: () => {},
    settings: { fsync: 'off' },
    port: 0,
  });
  const authority = makeAuthority(folder, 'authority');
  const stranger = makeAuthority(folder, 'stranger');
  const cluster = join(folder, 'data', 'pg18');
  const [key, request, certificate] = [
    join(cluster, 'server.key'),
    join(folder, 'server.csr'),
    join(cluster, 'server.crt'),
  ];
  openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost',
    '-keyout',
    key,
    '-out',
    request,
  );
  openssl(
    'x509',
    '-req',
    '-in',
    request,
    '-CA',
    authority,
    '-CAkey',
    authority.replace('.crt', '.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-copy_extensions',
    'copy',
    '-out',
    certificate,
  );
  const { uid, gid } = statSync(join(cluster, 'PG_VERSION'));
  for (const file of [key, certificate]) chownSync(file, uid, gid);
  chmodSync(key, 0o600);
  const turn = async (tls: 'on' | 'off') => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query(`alter system set ssl = ${tls}`);
    await client.query('select pg_reload_conf()');
    await until(async () => (await client.query('show ssl')).rows[0].ssl === tls);
    await client.end();
  };
  await turn('on');
  return {
    url: server.url,
    authority,
    stranger,
    turn,
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
