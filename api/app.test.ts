/** The steps that every request goes through, and the API's description of itself. */
import { describe, expect, test } from 'bun:test';
import { createTestApp } from '../tests/support/api/test-app.ts';

interface Document {
  openapi: string;
  info: { version: string };
  paths: Record<
    string,
    Record<string, { responses: Record<string, unknown>; requestBody?: unknown; operationId: string }>
  >;
  components: { schemas: Record<string, Record<string, unknown>> };
}

async function readDocument(): Promise<Document> {
  return (await (await createTestApp().send('GET', '/openapi.json')).json()) as Document;
}

describe('the OpenAPI document', () => {
  test('lists the calls of this release and no other', async () => {
    const document = await readDocument();
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.version).toBe('1.2.3');
    const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(calls.sort()).toEqual([
      'delete /api/v1/templates/{name}',
      'get /admin/doctor',
      'get /admin/executions',
      'get /admin/incidents',
      'get /admin/queues',
      'get /admin/stats',
      'get /admin/workers',
      'get /api/v1/execution/compare',
      'get /api/v1/execution/event-log',
      'get /api/v1/execution/events',
      'get /api/v1/execution/explain',
      'get /api/v1/execution/scopes',
      'get /api/v1/execution/state',
      'get /api/v1/execution/status',
      'get /api/v1/forms',
      'get /api/v1/steps/{id}',
      'get /api/v1/templates',
      'get /api/v1/templates/{name}',
      'get /api/v1/templates/{name}/graph',
      'get /docs',
      'get /health',
      'get /health/live',
      'get /health/ready',
      'get /metrics',
      'get /openapi.json',
      'get /schema/definition.json',
      'post /admin/doctor/repair',
      'post /admin/executions/cancel',
      'post /admin/executions/pause',
      'post /admin/executions/resume',
      'post /admin/executions/retry',
      'post /admin/executions/{id}/cancel',
      'post /admin/incidents/{id}/fail',
      'post /admin/incidents/{id}/resume',
      'post /api/v1/execution/fork',
      'post /api/v1/execution/migrate',
      'post /api/v1/execution/pause',
      'post /api/v1/execution/resume',
      'post /api/v1/execution/retry',
      'post /api/v1/execution/signal',
      'post /api/v1/execution/start',
      'post /api/v1/execution/start-many',
      'post /api/v1/execution/stop',
      'post /api/v1/steps/{id}/complete',
      'post /api/v1/steps/{id}/fail',
      'post /api/v1/steps/{id}/skip',
      'post /api/v1/tasks/claim',
      'post /api/v1/tasks/{id}/complete',
      'post /api/v1/tasks/{id}/fail',
      'post /api/v1/tasks/{id}/heartbeat',
      'post /api/v1/templates',
      'post /api/v1/templates/validate',
      'post /hooks/{token}',
    ]);
  });

  test('every reference in it leads somewhere, the definition included', async () => {
    const document = await readDocument();
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!);
    expect(references).toContain('#/components/schemas/Definition/$defs/step');
    for (const reference of references) {
      const found = reference
        .slice(2)
        .split('/')
        .reduce<unknown>((node, key) => (node as Record<string, unknown>)?.[key], document);
      expect([reference, typeof found]).toEqual([reference, 'object']);
    }
  });

  test('says that requests take no unknown field, as the check does', async () => {
    const { schemas } = (await readDocument()).components;
    expect(schemas.StartExecution).toMatchObject({ type: 'object', additionalProperties: false });
    expect(Object.keys(schemas.StartExecution!.properties as object)).toContain('idempotency_key');
  });

  test('names the errors of a call', async () => {
    const { responses } = (await readDocument()).paths['/api/v1/execution/start']!.post!;
    expect(Object.keys(responses)).toEqual([
      '200',
      '202',
      '400',
      '401',
      '403',
      '404',
      '408',
      '409',
      '413',
      '415',
      '422',
      '429',
      '500',
      '503',
    ]);
  });

  test('gives every call an id of its own', async () => {
    const { paths } = await readDocument();
    const ids = Object.values(paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('the reference page', () => {
  test('shows every call and loads nothing from elsewhere', async () => {
    const { send } = createTestApp();
    const response = await send('GET', '/docs');
    const page = await response.text();
    for (const path of Object.keys((await readDocument()).paths)) expect(page).toContain(path);
    expect(page).not.toContain('<script');
    const loaded = [...page.matchAll(/(?:src|rel="stylesheet" href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(loaded).toEqual(['/docs/assets/reference.css']);
    const style = await send('GET', loaded[0]!);
    expect(style.headers.get('content-type')).toContain('text/css');
    expect(await style.text()).not.toContain('url(');
    expect(response.headers.get('content-security-policy')).toContain("style-src 'self'");
  });

  test('links lead to places of the page', async () => {
    const page = await (await createTestApp().send('GET', '/docs')).text();
    const targets = new Set([...page.matchAll(/id="([^"]+)"/g)].map((match) => match[1]!));
    for (const [, anchor] of page.matchAll(/href="#([^"]+)"/g))
      expect([anchor, targets.has(anchor!)]).toEqual([anchor, true]);
  });

  test('is where the root leads', async () => {
    const response = await createTestApp().send('GET', '/');
    expect([response.status, response.headers.get('location')]).toEqual([302, '/docs']);
  });
});

describe('every answer', () => {
  test('forbids browsers to guess, frame, cache and load', async () => {
    const { send } = createTestApp();
    for (const path of ['/health', '/nope', '/api/v1/templates']) {
      const { headers } = await send('GET', path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).not.toBeNull();
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('access-control-allow-origin')).toBeNull();
      expect(headers.get('x-request-id')).not.toBeNull();
    }
  });

  test('is told to the metrics under its route, never under its path', async () => {
    const { send, observed } = createTestApp();
    await send('GET', '/api/v1/templates/some-name');
    await send('GET', '/some/path');
    await send('GET', '/health');
    const seen = observed.map(({ route, method, status }) => `${method} ${route} ${status}`);
    expect(seen).toEqual(['GET /api/v1/templates/{name} 404', 'GET unmatched 404', 'GET /health 200']);
    for (const { seconds } of observed) expect(seconds).toBeGreaterThanOrEqual(0);
  });
});

describe('health', () => {
  test('is 200 when it can serve, and 503 when it cannot', async () => {
    for (const [status, code] of [
      ['ok', 200],
      ['unavailable', 503],
    ] as const) {
      const report = { status, checks: { database: { status: 'fail' as const, message: 'no answer' } } };
      const { send } = createTestApp({ deps: { health: { live: () => report, ready: async () => report } } });
      for (const path of ['/health', '/health/live', '/health/ready']) {
        const response = await send('GET', path);
        expect(response.status).toBe(code);
        expect(await response.json()).toEqual(report);
      }
    }
  });

  test('is 503 when the check itself fails', async () => {
    const live = () => ({ status: 'ok' as const, checks: {} });
    const ready = () => Promise.reject(new Error('no connection'));
    const { send, logged } = createTestApp({ deps: { health: { live, ready } } });
    expect((await send('GET', '/health/ready')).status).toBe(503);
    expect(logged).toHaveLength(1);
  });
});

test('the definition schema is served as it is', async () => {
  const response = await createTestApp().send('GET', '/schema/definition.json');
  expect(response.headers.get('content-type')).toBe('application/schema+json');
  expect(await response.json()).toMatchObject({ type: 'object', $defs: { step: { type: 'object' } } });
});

test('HEAD answers like GET without a body', async () => {
  const response = await createTestApp().send('HEAD', '/health');
  expect([response.status, await response.text()]).toEqual([200, '']);
});
