/** Loaded before an engine in a process of its own, when it is to work in portable mode. */
import { guardStatements } from './portable-guard.ts';

guardStatements(process.env.DATABASE_BACKEND ?? 'postgres', null, (violation) => {
  process.stderr.write(`${violation}\n`);
  process.exit(86);
});
