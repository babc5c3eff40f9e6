/** The advice of a command that found no engine. */
import { expect, test } from 'bun:test';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from './connection.ts';
import { reportFailure } from './failure.ts';

const HANG_MS = 50;

/** The text that a command writes when its engine is a server that does this. */
async function adviceAt(answer: (end: () => void, refuse: () => void) => void): Promise<string[]> {
  const server = createServer((_, response) =>
    answer(
      () => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      () => response.destroy(),
    ),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const lines: string[] = [];
  try {
    await connect({ url, patience: 0 }, () => {}, HANG_MS).client.listTemplates();
  } catch (error) {
    reportFailure(error, (line) => lines.push(line));
  }
  server.closeAllConnections();
  server.close();
  return lines;
}

test.each([
  ['is silent', () => {}, 'it hangs or is cut off'],
  ['is another one', (end: () => void) => end(), 'Something else answers there'],
  ['hangs up', (_: () => void, hangUp: () => void) => hangUp(), 'Start an engine with `npm start`'],
])('fits a server that %s', async (_, answer, advice) => {
  const lines = await adviceAt(answer);
  expect(lines).toEqual([
    expect.stringMatching(/^error: No engine answers at .*[.?]$/),
    expect.stringContaining(advice),
  ]);
});
