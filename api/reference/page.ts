/**
 * The API reference as one page of plain HTML, made from the OpenAPI document.
 *
 * It has no script and loads no other resources: it works offline and under a policy that forbids both. Calls cannot be
 * tried out on it; each has a curl line to copy.
 */
import { html } from 'hono/html';
import { isObject } from '../../core/json/json.ts';

type Node = Record<string, unknown>;
type Html = ReturnType<typeof html>;

interface Operation {
  id: string;
  method: string;
  path: string;
  node: Node;
}

/** The page. `stylesheet` is the address of its style sheet. */
export function referencePage(document: Node, stylesheet: string): Html {
  const operations = operationsOf(document);
  const info = object(document.info);
  const schemas = Object.entries(object(object(document.components).schemas));
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${text(info.title)} API ${text(info.version)}</title>
        <link rel="stylesheet" href="${stylesheet}" />
      </head>
      <body>
        <nav aria-label="Calls">
          <p class="brand">${text(info.title)} <small>${text(info.version)}</small></p>
          ${byTag(operations).map(([tag, members]) => navigationGroup(tag, members))}
          <p class="group">Schemas</p>
          <ul>${schemas.map(([name]) => html`<li><a href="#schema-${name}">${name}</a></li>`)}</ul>
        </nav>
        <main>
          <h1>${text(info.title)} API</h1>
          <p>${prose(info.description)}</p>
          <p>
            Machine-readable: <a href="/openapi.json">openapi.json</a>,
            <a href="/schema/definition.json">schema of a workflow definition</a>.
          </p>
          ${operations.map(operationSection)}
          <h2>Schemas</h2>
          ${schemas.map(([name, schema]) => schemaSection(name, object(schema)))}
        </main>
      </body>
    </html>`;
}

function navigationGroup(tag: string, members: Operation[]): Html {
  const items = members.map(
    ({ id, method, path }) =>
      html`<li><a href="#${id}"><b class="${method}">${method.toUpperCase()}</b> ${path.replace('/api/v1', '')}</a></li>`,
  );
  return html`<p class="group">${tag}</p><ul>${items}</ul>`;
}

function operationSection({ id, method, path, node }: Operation): Html {
  const parameters = array(node.parameters).map((parameter) => parameterRow(object(parameter)));
  const body = object(node.requestBody);
  return html`<section id="${id}">
    <h2><b class="${method}">${method.toUpperCase()}</b> <code>${path}</code></h2>
    <p><strong>${text(node.summary)}</strong></p>
    <p>${prose(node.description)}</p>
    ${parameters.length > 0 ? html`<h3>Parameters</h3>${table(parameters)}` : ''}
    ${body.content === undefined ? '' : html`<h3>Body</h3>${contentList(object(body.content))}`}
    <h3>Answers</h3>
    ${table(Object.entries(object(node.responses)).map(([status, answer]) => answerRow(status, object(answer))))}
    <h3>Example</h3>
    <pre><code>${curlLine(method, path, node)}</code></pre>
  </section>`;
}

function schemaSection(name: string, schema: Node): Html {
  const rows = fieldRows(schema, '');
  return html`<section id="schema-${name}">
    <h3>${name}</h3>
    <p>${prose(schema.description)}</p>
    ${rows.length > 0 ? table(rows) : html`<p>${typeOf(schema)}</p>`}
  </section>`;
}

/** One row per field; objects without a name are spelled out as `outer.inner`. */
function fieldRows(schema: Node, prefix: string): Html[] {
  const required = new Set(array(schema.required));
  return Object.entries(object(schema.properties)).flatMap(([name, child]) => {
    const field = object(child);
    const inner = field.items === undefined ? field : object(field.items);
    const path = `${prefix}${name}`;
    const row = tableRow(html`<code>${path}</code>`, typeOf(field), required.has(name), field.description);
    return [row, ...fieldRows(inner, `${path}${inner === field ? '.' : '[].'}`)];
  });
}

function parameterRow(parameter: Node): Html {
  const schema = object(parameter.schema);
  const name = html`<code>${text(parameter.name)}</code> <small>${text(parameter.in)}</small>`;
  return tableRow(name, typeOf(schema), parameter.required === true, schema.description);
}

function answerRow(status: string, answer: Node): Html {
  return html`<tr><td><code>${status}</code></td><td>${contentList(object(answer.content))}</td><td>${prose(answer.description)}</td></tr>`;
}

function tableRow(name: Html, type: Html, required: boolean, description: unknown): Html {
  return html`<tr><td>${name}</td><td>${type}${required ? ', required' : ''}</td><td>${prose(description)}</td></tr>`;
}

function table(rows: Html[]): Html {
  return html`<table><tbody>${rows}</tbody></table>`;
}

function contentList(content: Node): Html {
  const entries = Object.entries(content).map(
    ([mediaType, value]) =>
      html`<div>${typeOf(object(object(value).schema))} <small>${mediaType}</small></div>`,
  );
  return html`${entries}`;
}

function typeOf(schema: Node): Html {
  const reference = schema.$ref;
  if (typeof reference === 'string') return schemaLink(reference);
  const combined = array(schema.anyOf ?? schema.oneOf ?? schema.allOf);
  if (combined.length > 0)
    return html`${combined.map((part, index) => html`${index > 0 ? ' or ' : ''}${typeOf(object(part))}`)}`;
  if (schema.enum !== undefined)
    return html`${array(schema.enum).map((value) => html`<code>${String(value)}</code> `)}`;
  if (schema.items !== undefined) return html`list of ${typeOf(object(schema.items))}`;
  const types = array(schema.type).length > 0 ? array(schema.type).join(' or ') : text(schema.type) || 'any';
  return html`${types}${schema.format === undefined ? '' : ` (${text(schema.format)})`}`;
}

function schemaLink(reference: string): Html {
  const name = reference.split('/').at(-1) ?? reference;
  return html`<a href="#schema-${name}">${name}</a>`;
}

function curlLine(method: string, path: string, node: Node): string {
  const query = array(node.parameters).filter(
    (item) => object(item).in === 'query' && object(item).required === true,
  );
  const search = query.map((item) => `${text(object(item).name)}=…`).join('&');
  const lines = [
    `curl -X ${method.toUpperCase()} 'http://localhost:3020${path}${search === '' ? '' : `?${search}`}'`,
  ];
  if (node.security !== undefined && array(node.security).length > 0)
    lines.push(`-H 'Authorization: Bearer …'`);
  const content = object(object(node.requestBody).content);
  if (content['application/yaml'] !== undefined)
    lines.push(`-H 'Content-Type: application/yaml' --data-binary @workflow.yaml`);
  else if (content['application/json'] !== undefined)
    lines.push(`-H 'Content-Type: application/json' -d '${exampleBody(content)}'`);
  return lines.join(' \\\n  ');
}

function exampleBody(content: Node): string {
  return JSON.stringify(object(content['application/json']).example ?? {});
}

/** Text with `code` between backticks. */
function prose(value: unknown): Html {
  const parts = text(value).split('`');
  return html`${parts.map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))}`;
}

function operationsOf(document: Node): Operation[] {
  return Object.entries(object(document.paths)).flatMap(([path, methods]) =>
    Object.entries(object(methods)).map(([method, node]) => ({
      id: text(object(node).operationId),
      method,
      path,
      node: object(node),
    })),
  );
}

function byTag(operations: readonly Operation[]): [string, Operation[]][] {
  return Object.entries(Object.groupBy(operations, ({ node }) => text(array(node.tags)[0]))) as [
    string,
    Operation[],
  ][];
}

function object(value: unknown): Node {
  return isObject(value) ? value : {};
}

function array(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
