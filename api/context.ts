/**
 * The context of a request in the API: its sender, its address, and its log.
 */
import type { Identity } from './auth.ts';

/** The data of a connection; `serve` fills it, tests pass it as the third argument of `app.request`. */
export interface Connection {
  /** IP address of the other end of the socket; undefined counts as foreign. */
  remoteAddress?: string | undefined;
  /** Aborted when the server stops: long polls then answer with the present state. */
  draining?: AbortSignal | undefined;
  /** Why the request itself could not be read, as a sentence: it is answered 400 with this. */
  unreadable?: string | undefined;
}

export interface ApiEnv {
  Bindings: Connection;
  Variables: {
    requestId: string;
    /** The path of the route as it was registered; undefined until one matches. */
    route: string | undefined;
    identity: Identity;
  };
}

/** The part of a pino logger that the API uses. */
export interface ApiLog {
  error(fields: object, message: string): void;
}

/** One answered request, for the metrics. */
export interface RequestObservation {
  /** Registered path such as `/api/v1/templates/{name}`, or `unmatched`. */
  route: string;
  /** `OTHER` for a method that HTTP does not define. */
  method: string;
  status: number;
  seconds: number;
}
