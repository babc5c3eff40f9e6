/**
 * Loaded before every test file (bunfig.toml): a timer that keeps the event loop busy.
 *
 * Processes that the engine starts keep no process alive. A test that only waits for one, and has no timer or socket of
 * its own, would spin until it is there, and take a core from the tests beside it.
 */
const OFTEN_ENOUGH_MS = 60_000;

setInterval(() => {}, OFTEN_ENOUGH_MS);
