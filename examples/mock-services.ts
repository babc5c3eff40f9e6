/**
 * The services that the examples call, in a few lines: a real HTTP server on loopback with made-up answers.
 *
 * `node scripts/bun.mjs examples/mock-services.ts [port]` serves on 127.0.0.1:3030 until it is interrupted.
 * Not here: anything worth copying into a product.
 */
import http, { type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

const DEFAULT_PORT = 3030;

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

interface Call {
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parsed JSON; null when there is none. */
  readonly body: Record<string, unknown> | null;
  /** 1 for the first request with this Idempotency-Key; of those without one, with this body. */
  readonly attempt: number;
  /** 1 for the first request of this path. */
  readonly asked: number;
  readonly bookings: Bookings;
}

/** Bookings of this server by their ids, and those that were cancelled, in order. */
interface Bookings {
  readonly made: Set<string>;
  readonly cancelled: string[];
}

type Service = (call: Call, part: string) => Answer;

/** By method and beginning of the path; what follows is handed to the service. */
const SERVICES: Readonly<Record<string, Service>> = {
  'GET /documents/': (_call, id) => documentOf(id),
  'POST /recognise': () => ({ body: { text: 'Rechnung und Lieferschein' } }),
  'POST /classify': ({ body }) => ({
    body: { label: /agree|contract/i.test(String(body?.text)) ? 'contract' : 'invoice' },
  }),
  'PUT /index/': (_call, id) => ({ status: 201, body: { id } }),
  'GET /sources/orders': (call) => ordersOf(call),
  'GET /sources/customers': () => ({
    body: [
      { id: 1, name: 'Ada' },
      { id: 2, name: 'Grace' },
    ],
  }),
  'PUT /warehouse/orders/': ({ body }) =>
    Number(body?.amount) > 0
      ? { status: 201, body: { stored: body?.id } }
      : { status: 422, body: { error: 'the amount is not positive' } },
  'PUT /warehouse/': ({ body }) => ({ body: { rows: Array.isArray(body) ? body.length : 0 } }),
  'POST /bookings': (call) => book(call),
  'GET /bookings/': ({ bookings }, traveller) => bookingsOf(bookings, traveller),
  'DELETE /bookings/': ({ bookings }, id) => cancel(bookings, id),
  'POST /pages': ({ body }) => pageOf(body),
  'POST /posts': () => ({ body: { posted: true } }),
  'POST /tickets': () => ({ status: 201, body: { id: 'T-1' } }),
  'POST /exports': ({ body }) => ({ status: 202, body: { id: `${body?.report}-${body?.of}` } }),
  'GET /exports/files/': () => ({
    body: [
      { sku: 'A-100', sold: 3 },
      { sku: 'B-200', sold: 1 },
    ],
  }),
  'GET /exports/': ({ asked }, id) => exportOf(id, asked),
  'POST /v1/chat/completions': (call) => completionOf(call),
};

export interface MockServices extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
}

/** Serves on loopback; port 0 is any free one. */
export async function startMockServices(port = 0): Promise<MockServices> {
  const attempts = new Map<string, number>();
  const bookings = { made: new Set<string>(), cancelled: [] };
  const server = http.createServer(async (request, response) => {
    const { status = 200, headers = {}, body } = await answer(request, attempts, bookings);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(
  request: IncomingMessage,
  attempts: Map<string, number>,
  bookings: Bookings,
): Promise<Answer> {
  const [path, queried] = (request.url ?? '/').split('?') as [string, string?];
  const query = new URLSearchParams(queried);
  const body = (await json(request).catch(() => null)) as Call['body'];
  const key = String(request.headers['idempotency-key'] ?? JSON.stringify(body));
  const attempt = count(attempts, key);
  const asked = count(attempts, path);
  for (const [route, service] of Object.entries(SERVICES)) {
    const [method, prefix] = route.split(' ') as [string, string];
    if (request.method === method && path.startsWith(prefix))
      return service({ path, query, body, attempt, asked, bookings }, path.slice(prefix.length));
  }
  return { status: 404, body: { error: `nothing at ${request.method} ${path}` } };
}

function count(counts: Map<string, number>, key: string): number {
  counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts.get(key)!;
}

/** It takes three looks; one report breaks, and one never gets ready. */
function exportOf(id: string, asked: number): Answer {
  if (id.startsWith('endless') || asked < 3) return { body: { status: 'pending' } };
  return { body: id.startsWith('broken') ? { status: 'broken' } : { status: 'ready', file: id } };
}

function documentOf(id: string): Answer {
  if (id === 'missing') return { status: 404, body: { error: 'no such document' } };
  if (id in LETTERS) return { body: { id, type: 'text', content: LETTERS[id] } };
  if (id.startsWith('scan')) return { body: { id, type: 'image', content: 'aW1hZ2U=' } };
  return { body: { id, type: 'text', content: 'We agree on this contract.' } };
}

const LETTERS: Readonly<Record<string, string>> = {
  'invoice-7': 'Invoice 7: bolts 20.00, nuts 5.00, total 25.00',
  'invoice-smudged': 'Invoice 8 (smudged): bolts 20.00, nuts 6.00, total 26.00',
  'invoice-busy': 'Invoice 9 (busy): washers 3.00, total 3.00',
  poem: 'Rose is a rose is a rose is a rose.',
};

/**
 * Plays a language model that reads invoices: it misreads one that is smudged, unless it is told to read again, and is
 * overloaded at first by one.
 */
function completionOf({ body, attempt }: Call): Answer {
  const messages = body?.messages as readonly { role: string; content: string }[];
  const letter = messages.find(({ role }) => role === 'user')?.content ?? '';
  if (letter.includes('busy') && attempt === 1)
    return { status: 429, headers: { 'retry-after': '1' }, body: { error: { message: 'slow down' } } };
  const amounts = [...letter.matchAll(/(\w+) (\d+)\.(\d\d)/g)].map(([, article, whole, cents]) => ({
    article: article!,
    amount: Number(whole! + cents!),
  }));
  const total = amounts.pop()?.amount;
  const isMisread = letter.includes('smudged') && messages.at(-1)?.content === letter;
  const read = { invoice: true, total: isMisread ? 62_00 : total, lines: amounts };
  const content = total === undefined ? 'What a lovely poem!' : JSON.stringify(read);
  const usage = { prompt_tokens: 90, completion_tokens: 30, total_tokens: 120 };
  return {
    body: {
      model: body?.model,
      choices: [{ message: { role: 'assistant', content }, finish_reason: 'stop' }],
      usage,
    },
  };
}

/**
 * Overloaded at first, so that there is a retry to see. Of 40 orders that are worth something the warehouse refuses two, on the
 * 28th of a month three.
 */
function ordersOf({ attempt, query }: Call): Answer {
  if (attempt === 1) return { status: 503, body: { error: 'busy' } };
  const refused = query.get('date')?.endsWith('-28') ? 3 : 2;
  const orders = Array.from({ length: 40 }, (_, at) => ({
    id: at + 1,
    customer: (at % 3) + 1,
    amount: at < refused ? -5 : 10 + at,
  }));
  return { headers: { 'x-attempt': String(attempt) }, body: [{ id: 0, customer: 1, amount: 0 }, ...orders] };
}

/** Nothing is free in Atlantis. */
function book({ body, bookings }: Call): Answer {
  if (body?.place === 'Atlantis') return { status: 409, body: { error: `no ${body.kind} is free there` } };
  const id = `${body?.traveller}-${body?.kind}-${body?.place}`;
  bookings.made.add(id);
  return { status: 201, body: { id } };
}

function cancel({ made, cancelled }: Bookings, id: string): Answer {
  if (!made.delete(id)) return { status: 404, body: { error: 'no such booking' } };
  cancelled.push(id);
  return { body: { cancelled: id } };
}

function bookingsOf({ made, cancelled }: Bookings, traveller: string): Answer {
  const own = (ids: Iterable<string>) => [...ids].filter((id) => id.startsWith(`${traveller}-`));
  return { body: { made: own(made), cancelled: own(cancelled) } };
}

/** Nobody of the first line answers for `search`. */
function pageOf(body: Call['body']): Answer {
  if (body?.service === 'search' && body.line === 1) return { status: 503, body: { error: 'no answer' } };
  return { body: { person: body?.line === 1 ? 'Ada' : 'Grace' } };
}

if (import.meta.main) {
  const services = await startMockServices(Number(process.argv[2] ?? DEFAULT_PORT));
  console.log(`Mock services on ${services.url}; Ctrl-C ends them.`);
}
