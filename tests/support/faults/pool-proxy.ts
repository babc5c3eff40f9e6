/**
 * A TCP proxy that tells an engine's connections apart by what they are for (`engine/<id>/work`, `.../commit`, ...)
 * and can let those of one use fall silent while the others go on.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface PoolProxy {
  /** The URL with this proxy in place of the server. */
  readonly url: string;
  /** Nothing is passed on any more on connections of these uses, neither on open nor on new ones; nobody is told. */
  silence(...uses: string[]): void;
  /** Closes the silent connections; new ones are passed on. */
  heal(): void;
  close(): Promise<void>;
}

interface Link {
  readonly use: string;
  readonly client: Socket;
  readonly upstream: Socket;
}

/** @param target URL of the database; without TLS */
export async function proxyByUse(target: string): Promise<PoolProxy> {
  const { hostname, port } = new URL(target);
  const links = new Set<Link>();
  let silent: readonly string[] = [];
  const server = createServer((client) => {
    client.on('error', () => {});
    client.once('data', (first: Buffer) => {
      const upstream = connect(Number(port), hostname);
      const link = { use: useOf(first), client, upstream };
      links.add(link);
      upstream.on('error', () => client.destroy());
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => {
        links.delete(link);
        client.destroy();
      });
      upstream.write(first);
      if (!silent.includes(link.use)) pass(link);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  const hangUp = (which: (link: Link) => boolean) => {
    for (const link of links) if (which(link)) link.client.destroy();
  };
  return {
    url: url.href,
    silence: (...uses) => {
      silent = uses;
      for (const link of links) if (uses.includes(link.use)) stop(link);
    },
    heal: () => {
      const was = silent;
      silent = [];
      hangUp(({ use }) => was.includes(use));
    },
    close: () => {
      hangUp(() => true);
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function pass({ client, upstream }: Link): void {
  client.pipe(upstream);
  upstream.pipe(client);
}

function stop({ client, upstream }: Link): void {
  client.unpipe(upstream);
  upstream.unpipe(client);
}

/** The last part of the application name in a start-up message: pairs of texts, each ended by a zero byte. */
function useOf(startup: Buffer): string {
  const words = startup.toString('latin1', 8).split('\0');
  return words[words.indexOf('application_name') + 1]?.split('/').at(-1) ?? '';
}
