/**
 * Checks of the database itself: it keeps acknowledged data, and vacuum is not blocked.
 */
import type { SqlInvariant } from './invariant.ts';

const OLD_SECONDS = 60;

export const DATABASE_INVARIANTS: readonly SqlInvariant[] = [
  {
    name: 'database-not-durable',
    meaning: 'fsync, full_page_writes and synchronous_commit are on: what was answered survives a power cut.',
    advice: 'Turn them on. Where the data may be lost, as on a test server, accept this finding.',
    repair: null,
    graceSeconds: 0,
    from: [],
    offenders: `
      select p.name as id, null::uuid as execution_id, format('%s is %s', p.name, p.setting) as detail
        from pg_settings p
       where p.name in ('fsync', 'full_page_writes', 'synchronous_commit') and p.setting = 'off'`,
  },
  {
    name: 'session-with-old-snapshot',
    meaning:
      'No session of this database holds a transaction open for a minute: dead rows could not be cleaned up.',
    advice:
      'Find the program by its application name and end its transaction; pg_terminate_backend(pid) does it by force.',
    repair: null,
    graceSeconds: OLD_SECONDS,
    from: [],
    offenders: `
      select a.pid::text as id, null::uuid as execution_id,
             format('%s, %s, transaction since %s', coalesce(nullif(a.application_name, ''), 'no application name'),
                    a.state, a.xact_start) as detail
        from pg_stat_activity a
       where a.datname = current_database() and a.pid <> pg_backend_pid()
         and a.backend_type = 'client backend'
         and a.xact_start <= now() - (select grace from asked)
         and (a.backend_xmin is not null or a.state like 'idle in transaction%')`,
  },
];
