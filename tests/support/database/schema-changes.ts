/**
 * Whether a migration only expands: held against what PostgreSQL's catalog says before and after it, so that it does
 * not matter how the SQL is written.
 *
 * Engines of the version before go on writing and reading while the new schema is there already. What they use must
 * stay as it was, and what they write must stay allowed.
 */
import type pg from 'pg';

interface Column {
  readonly type: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
}

interface Table {
  /** Changes when the table is written anew, which locks out everybody for as long as it takes. */
  readonly file: string;
  readonly rowSecurity: boolean;
  readonly columns: ReadonlyMap<string, Column>;
  /** Definitions of checks, foreign keys, unique indexes and exclusions, by name. */
  readonly constraints: ReadonlyMap<string, string>;
  readonly triggers: ReadonlySet<string>;
}

export interface Catalog {
  readonly tables: ReadonlyMap<string, Table>;
  /** Views, sequences and functions: all that can be gone. */
  readonly others: ReadonlySet<string>;
}

const TABLES = `
  select c.oid, c.relname, c.relfilenode::text as file, c.relrowsecurity as secured,
         array(select tgname::text from pg_trigger where tgrelid = c.oid and not tgisinternal) as triggers
    from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')`;

const COLUMNS = `
  select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as not_null,
         (a.atthasdef or a.attidentity <> '') as has_default
    from pg_class c join pg_attribute a on a.attrelid = c.oid
   where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
     and a.attnum > 0 and not a.attisdropped`;

const CONSTRAINTS = `
  select c.relname, n.conname as name, pg_get_constraintdef(n.oid) as definition
    from pg_constraint n join pg_class c on c.oid = n.conrelid
   where c.relnamespace = current_schema()::regnamespace and n.contype in ('c', 'f', 'x')
  union all
  select c.relname, i.relname, pg_get_indexdef(i.oid)
    from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
   where c.relnamespace = current_schema()::regnamespace and x.indisunique`;

const OTHERS = `
  select 'relation ' || relname as name from pg_class
   where relnamespace = current_schema()::regnamespace and relkind in ('v', 'm', 'S', 'f')
  union all
  select 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ') returns ' ||
         pg_get_function_result(p.oid)
    from pg_proc p where p.pronamespace = current_schema()::regnamespace`;

/** What the schema that the connection searches first consists of. */
export async function readCatalog(client: pg.Client): Promise<Catalog> {
  const { rows: tables } = await client.query(TABLES);
  const { rows: columns } = await client.query(COLUMNS);
  const { rows: constraints } = await client.query(CONSTRAINTS);
  const { rows: others } = await client.query(OTHERS);
  return {
    tables: new Map(
      tables.map(({ relname, file, secured, triggers }) => [
        relname,
        {
          file,
          rowSecurity: secured,
          columns: new Map(
            columns
              .filter((column) => column.relname === relname)
              .map(({ attname, type, not_null, has_default }) => [
                attname,
                { type, notNull: not_null, hasDefault: has_default },
              ]),
          ),
          constraints: new Map(
            constraints
              .filter((constraint) => constraint.relname === relname)
              .map(({ name, definition }) => [name, definition]),
          ),
          triggers: new Set<string>(triggers),
        },
      ]),
    ),
    others: new Set(others.map(({ name }) => name)),
  };
}

/** What a migration did besides expanding, in words; empty when it did nothing else. */
export function contractions(before: Catalog, after: Catalog): string[] {
  const gone = [...before.others].filter((name) => !after.others.has(name)).map((name) => `${name} is gone`);
  const changed = [...before.tables].flatMap(([name, table]) => {
    const now = after.tables.get(name);
    return now === undefined ? [`table ${name} is gone`] : tableContractions(name, table, now);
  });
  return [...gone, ...changed];
}

function tableContractions(name: string, before: Table, after: Table): string[] {
  return [
    ...(before.file === after.file ? [] : [`table ${name} is written anew`]),
    ...(after.rowSecurity && !before.rowSecurity ? [`table ${name} hides rows`] : []),
    ...[...after.triggers]
      .filter((trigger) => !before.triggers.has(trigger))
      .map((trigger) => `trigger ${trigger} on ${name} is new`),
    ...columnContractions(name, before.columns, after.columns),
    ...constraintContractions(name, before, after.constraints),
  ];
}

function columnContractions(table: string, before: Table['columns'], after: Table['columns']): string[] {
  const said: string[] = [];
  for (const [name, column] of before) {
    const now = after.get(name);
    const is = `column ${table}.${name}`;
    if (now === undefined) {
      said.push(`${is} is gone`);
      continue;
    }
    if (now.type !== column.type) said.push(`${is} is ${now.type} instead of ${column.type}`);
    if (now.notNull && !column.notNull) said.push(`${is} refuses null`);
    if (column.hasDefault && !now.hasDefault) said.push(`${is} has lost its default`);
  }
  for (const [name, { notNull, hasDefault }] of after) {
    if (!before.has(name) && notNull && !hasDefault)
      said.push(`column ${table}.${name} is new and must be written`);
  }
  return said;
}

function constraintContractions(
  table: string,
  { constraints: before, columns }: Pick<Table, 'constraints' | 'columns'>,
  after: Table['constraints'],
): string[] {
  const known = new Set(before.values());
  return [...after]
    .filter(([name, definition]) => !known.has(definition) && !isWider(before.get(name), definition))
    .filter(([, definition]) => !isOfNewColumns(definition, columns))
    .map(([name]) => `constraint ${name} of ${table} is new`);
}

/** A check that takes the place of one of the same name and allows further words besides the old ones. */
function isWider(before: string | undefined, after: string): boolean {
  if (before === undefined || !/^CHECK \(\(\w+ = ANY \(ARRAY\[[^\]]*\]\)\)\)/.test(before)) return false;
  const words = new Set(listed(after));
  return frame(before) === frame(after) && listed(before).every((word) => words.has(word));
}

const WORD = /'((?:[^']|'')*)'::text/g;

function listed(definition: string): string[] {
  return [...definition.matchAll(WORD)].map(([, word]) => word!);
}

function frame(definition: string): string {
  return definition.replace(/ARRAY\[[^\]]*\]/, 'ARRAY[]').replace(/ NOT VALID$/, '');
}

/** Rows of the version before have null in new columns, and a unique index takes any number of nulls. */
function isOfNewColumns(definition: string, before: Table['columns']): boolean {
  const [, list] = /^CREATE UNIQUE INDEX .*? USING btree \(([^()]*)\)/.exec(definition) ?? [];
  if (list === undefined || /NULLS NOT DISTINCT/.test(definition)) return false;
  return list.split(', ').every((column) => !before.has(column));
}
