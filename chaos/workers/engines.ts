/**
 * One address in front of all engines, for workers: each call goes to any engine that answers calls.
 */
import type { Chance } from '../chance.ts';
import type { Fleet } from '../stage/fleet.ts';

export interface EnginesAddress {
  readonly url: string;
  close(): Promise<void>;
}

const NOBODY = 503;
const JSON_ANSWER = { 'content-type': 'application/json' };

export function serveEngines(fleet: Pick<Fleet, 'ready'>, draw: Chance): EnginesAddress {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 60,
    async fetch(request) {
      const engines = fleet.ready;
      if (engines.length === 0) return Response.json({ code: 'unavailable' }, { status: NOBODY });
      const { pathname } = new URL(request.url);
      try {
        const answer = await fetch(`${draw.pick(engines).url}${pathname}`, {
          method: request.method,
          headers: JSON_ANSWER,
          body: await request.text(),
          signal: request.signal,
        });
        return new Response(await answer.text(), { status: answer.status, headers: JSON_ANSWER });
      } catch {
        return Response.json({ code: 'unavailable' }, { status: NOBODY });
      }
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, close: () => server.stop(true) };
}
