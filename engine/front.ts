/**
 * The socket of an engine: bound before everything else, so that an address in use is reported at once and
 * at no cost. Until the application is ready it answers that the engine is starting.
 */
import { randomUUID } from 'node:crypto';
import { PROBLEM_MEDIA_TYPE, problemDocument } from '../api/errors.ts';
import { type RunningServer, serve } from '../api/server.ts';
import type { Address, Servable } from '../api/socket.ts';

export interface Front {
  readonly server: RunningServer;
  /** Passes every later request to the application. */
  open(app: Servable): void;
}

const STARTING = 'The engine is starting; try again.';

/** @throws Error that names the address when it cannot be bound */
export async function openFront(address: Address): Promise<Front> {
  let current: Servable = { fetch: answerStarting };
  const server = await serve({ fetch: (request, connection) => current.fetch(request, connection) }, address);
  return {
    server,
    open: (app) => {
      current = app;
    },
  };
}

/** The process is alive, but not ready to serve. */
function answerStarting(request: Request): Response {
  const { pathname } = new URL(request.url);
  if (pathname === '/health/live')
    return Response.json({ status: 'ok', checks: { process: { status: 'ok' } } });
  const headers = { 'Retry-After': '1', 'Cache-Control': 'no-store' };
  if (pathname === '/health' || pathname === '/health/ready') {
    const checks = { accepting: { status: 'fail', message: 'The engine is starting.' } };
    return Response.json({ status: 'unavailable', checks }, { status: 503, headers });
  }
  const body = JSON.stringify(problemDocument('unavailable', STARTING, [], randomUUID()));
  return new Response(body, { status: 503, headers: { ...headers, 'Content-Type': PROBLEM_MEDIA_TYPE } });
}
