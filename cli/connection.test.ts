/** Patience with an engine that comes and goes: real servers on one port. */
import { describe, expect, test } from 'bun:test';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EngineProblem, EngineUnreachable } from '../client/engine-client.ts';
import { connect } from './connection.ts';
import { UsageError } from './failure.ts';

type Reply = (response: ServerResponse) => void;

const page: Reply = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[],"next_cursor":null}');
};
const away: Reply = (response) => {
  const body = JSON.stringify({ code: 'unavailable', detail: 'The database cannot be reached.' });
  response.writeHead(503, { 'content-type': 'application/problem+json' }).end(body);
};
const proxyError: Reply = (response) => {
  response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>');
};
const closed: Reply = (response) => {
  response.destroy();
};
const refused: Reply = (response) => {
  const body = JSON.stringify({ code: 'forbidden', detail: 'No.' });
  response.writeHead(403, { 'content-type': 'application/problem+json' }).end(body);
};
const website: Reply = (response) => {
  response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
};

async function listen(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** A server that gives these answers, and repeats the last one. */
async function peer(...replies: Reply[]) {
  const notes: string[] = [];
  let calls = 0;
  const server = createServer((_, response) => replies[Math.min(calls++, replies.length - 1)]!(response));
  const url = `http://127.0.0.1:${await listen(server)}`;
  return {
    notes,
    url,
    calls: () => calls,
    connect: (patience: number) => connect({ url, patience }, (text) => notes.push(text)),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const BACK = 'The engine answers again.';
const failureOf = (asked: Promise<unknown>) => asked.catch((error: unknown) => error);

describe('a connection', () => {
  test.each([
    ['503', [away]],
    ['a proxy without its engine', [proxyError]],
    ['a broken connection after an answer', [away, closed]],
    ['all of them', [away, closed, proxyError, away]],
  ])('goes on asking through %s, and tells it once', async (_, replies) => {
    await using engine = await peer(...replies, page);
    expect(await engine.connect(60).ask((client) => client.listTemplates())).toMatchObject({ data: [] });
    expect(engine.calls()).toBe(replies.length + 1);
    expect(engine.notes).toEqual([expect.stringMatching(/\. Asking again for up to 60 s\.$/), BACK]);
  });

  test('waits for an engine that was there and is started again', async () => {
    await using first = await peer(page);
    const { ask } = first.connect(60);
    await ask((client) => client.listTemplates());
    await first[Symbol.asyncDispose]();
    const asked = ask((client) => client.listTemplates());
    while (first.notes.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(first.notes[0]).toEndWith('connection refused. Asking again for up to 60 s.');
    const second = createServer((_, response) => page(response));
    await listen(second, Number(new URL(first.url).port));
    expect(await asked).toMatchObject({ data: [] });
    second.closeAllConnections();
    second.close();
  });

  test('that breaks is asked about TLS only when nothing has answered without it', async () => {
    await using silent = await peer(closed);
    expect(
      (await failureOf(silent.connect(0).ask((client) => client.listTemplates()))) as Error,
    ).toMatchObject({ message: expect.stringContaining('is it an https:// address?') });
    // The runtime itself sends a call again when a connection that it kept was closed.
    await using engine = await peer(page, closed, closed, closed, page);
    const { ask } = engine.connect(60);
    for (let call = 0; call < 2; call++) await ask((client) => client.listTemplates());
    expect(engine.notes[0]).toContain('the connection was closed before there was an answer. Asking');
  });

  test('tells each run of failures, and its end', async () => {
    await using engine = await peer(away, page, away, page);
    const { ask } = engine.connect(60);
    await ask((client) => client.listTemplates());
    await ask((client) => client.listTemplates());
    expect(engine.notes).toEqual([expect.any(String), BACK, expect.any(String), BACK]);
  });

  test('asks once when it has no patience, and gives up when that is at its end', async () => {
    await using engine = await peer(away);
    expect(await failureOf(engine.connect(0).ask((client) => client.listTemplates()))).toBeInstanceOf(
      EngineProblem,
    );
    expect([engine.calls(), engine.notes]).toEqual([1, []]);
    expect(await failureOf(engine.connect(2).ask((client) => client.listTemplates()))).toMatchObject({
      status: 503,
    });
    expect(engine.calls()).toBeGreaterThan(2);
  });

  test.each([
    ['an engine that says no', refused, EngineProblem],
    ['another server', website, EngineUnreachable],
    ['nothing that has answered yet', closed, EngineUnreachable],
  ])('does not ask %s again', async (_, reply, kind) => {
    await using engine = await peer(reply);
    expect(await failureOf(engine.connect(60).ask((client) => client.listTemplates()))).toBeInstanceOf(kind);
    expect([engine.calls(), engine.notes]).toEqual([1, []]);
  });

  test.each([
    'localhost:3020',
    'ftp://localhost',
    'http://',
    'http://ada:secret@localhost',
    'http://localhost/?x=1',
    'http://localhost/#x',
  ])('to %s is wrong usage, and no password is repeated', (url) => {
    const connecting = () => connect({ url, patience: 0 }, () => {});
    expect(connecting).toThrow(UsageError);
    expect(connecting).not.toThrow('secret');
  });

  test('with a key that no header can carry is wrong usage, and the key is not repeated', () => {
    const connecting = () =>
      connect({ url: 'http://localhost', token: 'secret\r\nx: y', patience: 0 }, () => {});
    expect(connecting).toThrow(UsageError);
    expect(connecting).not.toThrow('secret');
  });
});
