/**
 * The interface to a runtime's own HTTP server, implemented by bun-socket.ts and node-socket.ts.
 */
import type { Connection } from './context.ts';

/** The application to serve: one of Hono, or anything of its shape. */
export interface Servable {
  fetch(request: Request, connection: Connection): Response | Promise<Response>;
}

export interface Address {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** How long the head of a request may take on a new connection, before that is closed. */
export const HEAD_MS = 30_000;

export interface Socket {
  readonly port: number;
  /** Takes no more connections; resolves when the requests have ended. */
  close(): Promise<void>;
  /** Cuts off the remaining requests. */
  destroy(): Promise<void>;
}

/**
 * Answers a request without a valid URL, because of its path or Host header, in the form of the application's errors.
 */
export function answerUnreadable(app: Servable, connection: Connection): Response | Promise<Response> {
  const unreadable = 'The path or the Host header of the request cannot be read.';
  return app.fetch(new Request('http://localhost/'), { ...connection, unreadable });
}

/** Binds the address; `headMs` stands for HEAD_MS. @throws the error of the runtime, with its `code`. */
export type Listen = (
  app: Servable,
  address: Address,
  draining: AbortSignal,
  headMs?: number,
) => Socket | Promise<Socket>;
