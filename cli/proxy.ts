/**
 * Proxies of the environment are for other machines: for a loopback address a proxy would call itself.
 *
 * The client says so to Bun with each request; Node.js looks at these variables alone, when NODE_USE_ENV_PROXY is set.
 */
const LOOPBACK = 'localhost,127.0.0.1,::1,[::1]';

/** Adds the loopback names to the hosts that are reached without a proxy. */
export function spareLoopback(env: NodeJS.ProcessEnv): void {
  const spared = [env.no_proxy || env.NO_PROXY, LOOPBACK].filter(Boolean).join();
  // Some programs read one spelling, some the other, and some the first that is set.
  env.no_proxy = spared;
  env.NO_PROXY = spared;
}
