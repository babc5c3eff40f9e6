/**
 * A standing connection that LISTENs.
 *
 * A notification is a hint, never the only trace of work: notifications sent while the connection was down are
 * lost, so a caller must look for missed work in `onReconnect`.
 */
import { keepConnection, type StandingConnection, type StandingOptions } from './standing-connection.ts';

export type ListenOptions = StandingOptions;
export type Listener = Pick<StandingConnection, 'ready' | 'close'>;

/**
 * Listens until closed; no callback is called after that. `onNotify` gets the channel and the payload ('' when
 * there was none); `onReconnect` is called each time the channels are listened to again after a lost connection.
 */
export function listen(
  url: string,
  channels: readonly string[],
  onNotify: (channel: string, payload: string) => void,
  onReconnect: () => void = () => {},
  options: ListenOptions = {},
): Listener {
  let isClosed = false;
  const connection = keepConnection(
    url,
    async (client) => {
      client.on('notification', ({ channel, payload }) => {
        if (!isClosed) onNotify(channel, payload ?? '');
      });
      for (const channel of channels) await client.query(`listen ${client.escapeIdentifier(channel)}`);
    },
    { applicationName: 'engine/listen', ...options },
    onReconnect,
  );
  return {
    ready: connection.ready,
    close: () => {
      isClosed = true;
      return connection.close();
    },
  };
}
