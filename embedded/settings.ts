/**
 * The settings of the embedded server. Durability is PostgreSQL's default: an acknowledged commit survives a
 * power cut.
 */
import { totalmem } from 'node:os';

const LARGE_MACHINE_BYTES = 8 * 1024 ** 3;

/** Returns settings by name; `overrides` take precedence. */
export function embeddedSettings(overrides: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    max_connections: '200',
    shared_buffers: totalmem() > LARGE_MACHINE_BYTES ? '512MB' : '128MB',
    max_wal_size: '2GB',
    fsync: 'on',
    synchronous_commit: 'on',
    // Failed statements hold inputs and outputs of workflows: they are kept out of the log.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    ...overrides,
  };
}
