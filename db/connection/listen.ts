/**
 * A standing connection that LISTENs.
 *
 * A notification is a hint, never the only trace of work: what was sent while the connection was down is
 * lost, so `onReconnect` is where a caller looks for itself.
 */
import { keepConnection, type StandingConnection, type StandingOptions } from './standing-connection.ts';

export type ListenOptions = StandingOptions;
export type Listener = Pick<StandingConnection, 'ready' | 'close'>;

/**
 * Listens until closed; no callback is called after that. `onNotify` gets the channel and the payload ('' when
 * there was none); `onReconnect` is called after each time the connection was lost and the channels are listened
 * to again.
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
