/** The client with servers that are not engines. */
import { afterAll, describe, expect, test } from 'bun:test';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { selfSigned } from '../tests/support/certificate.ts';
import { createEngineClient, type EngineClient, EngineUnreachable } from './engine-client.ts';

const certificate = await selfSigned();
const ID = '11111111-1111-1111-1111-111111111111';
const open: Server[] = [];
afterAll(() => {
  for (const server of open) server.close();
});

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  open.push(server);
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const web = (listener: RequestListener) => listen(createServer(listener));
const tcp = (speak: (socket: Socket) => void) =>
  listen(
    createTcpServer((socket) => {
      socket.on('error', () => {});
      speak(socket);
    }),
  );
const answers = (body: string, type = 'application/json', status = 200) =>
  web((_, response) => void response.writeHead(status, { 'content-type': type }).end(body));

/** Every call that has an answer. */
const CALLS: readonly [name: string, call: (client: EngineClient) => Promise<unknown>][] = [
  ['publish', (client) => client.publish('{}', 'application/json')],
  ['validate', (client) => client.validate('{}', 'application/json')],
  ['getTemplate', (client) => client.getTemplate('hello')],
  ['listTemplates', (client) => client.listTemplates()],
  ['start', (client) => client.start({ template: 'hello' })],
  ['startMany', (client) => client.startMany([])],
  ['status', (client) => client.status(ID)],
  ['stop', (client) => client.stop(ID)],
  ['cancel', (client) => client.cancel(ID)],
  ['listExecutions', (client) => client.listExecutions()],
  ['listScopes', (client) => client.listScopes({ execution_id: ID, step: 'each' })],
  ['signal', (client) => client.signal({ execution_id: ID, signal: 'paid' })],
  ['getStep', (client) => client.getStep(ID)],
  ['completeStep', (client) => client.completeStep(ID)],
  ['failStep', (client) => client.failStep(ID)],
  ['listForms', (client) => client.listForms()],
  ['claimTasks', (client) => client.claimTasks({ queue: 'images', worker: 'one' })],
  ['heartbeatTask', (client) => client.heartbeatTask(ID, ID)],
  ['completeTask', (client) => client.completeTask(ID, ID)],
  ['failTask', (client) => client.failTask(ID, ID, { error: { code: 'no', message: '' } })],
  ['examine', (client) => client.examine()],
  ['repair', (client) => client.repair()],
];

type Odd = [name: string, start: () => Promise<string>, reason: string];
const tls = () => listen(createTlsServer(certificate!, (_, response) => void response.end('{}')));
const SELF_SIGNED: Odd = [
  'a certificate that nobody vouches for',
  async () => `https://${await tls()}`,
  'its certificate is not accepted',
];
const TLS_UNASKED: Odd = ['TLS where none is asked for', tls, 'is it an https:// address\\?'];

describe('what is no engine', () => {
  test.each<Odd>([
    ['a website', () => answers('<html>', 'text/html'), 'answers 200 text/html'],
    ['a website with an error', () => answers('<html>', 'text/html', 404), 'answers 404 text/html'],
    ['an empty object', () => answers('{}'), 'is missing'],
    ['a list', () => answers('[]'), 'is no'],
    ['null', () => answers('null'), 'is no'],
    ['half a JSON', () => answers('{"data":[{"execution_id":'), 'cut short'],
    ['lists of another kind', () => answers('{"data":[1],"next_cursor":null}'), 'is '],
    ['problems of another kind', () => answers('{}', 'application/problem+json', 400), '"code" is missing'],
    ['an empty answer', () => web((_, response) => void response.writeHead(204).end()), 'is missing|is no'],
    [
      'a redirect',
      () =>
        web(
          (_, response) =>
            void response.writeHead(302, { location: 'https://sso.example/login?next=x' }).end(),
        ),
      'redirects to https://sso\\.example;',
    ],
    [
      'a server that does not speak HTTP',
      () => tcp((socket) => socket.once('data', () => socket.write('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'))),
      'HTTP',
    ],
    ['a server that hangs up', () => tcp((socket) => socket.once('data', () => socket.destroy())), 'closed'],
    [
      'a server that hangs up amid an answer',
      () =>
        tcp((socket) =>
          socket.once('data', () =>
            socket.end(
              'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"data":[',
            ),
          ),
        ),
      'closed|cut short',
    ],
    ['no TLS where it is asked for', async () => `https://${await answers('{}')}`, 'does not speak TLS'],
    [
      'a host without a name',
      async () => 'http://nobody.invalid',
      'no host of that name|cannot be looked up',
    ],
    ...(certificate === null ? [] : [SELF_SIGNED, TLS_UNASKED]),
  ])('is told in a sentence by every call: %s', async (_, start, reason) => {
    const address = await start();
    const url = address.includes('://') ? address : `http://${address}`;
    for (const [name, call] of CALLS) {
      const failure = await call(createEngineClient({ url })).catch((error: unknown) => error);
      expect([name, failure]).toEqual([name, expect.any(EngineUnreachable)]);
      const { message } = failure as EngineUnreachable;
      expect(message).toMatch(
        new RegExp(`^No engine answers at ${RegExp.escape(url)}: [^\\n]*(${reason})[^\\n]*$`),
      );
    }
  });

  test('is given up when it says nothing for longer than a call may take', async () => {
    const url = `http://${await tcp(() => {})}`;
    const failure = await createEngineClient({ url, timeoutMs: 50 })
      .listTemplates()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(EngineUnreachable);
    expect((failure as Error).message).toEndWith(': no answer within 0.05 s.');
  });
});
