/**
 * A separate network for one process, with a wire to this machine that can be cut: a Linux network namespace and a veth
 * pair. Needs root and the `ip` command.
 *
 * The cut takes down the inner end: for the other end the machine behind it has fallen silent.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ip = (...args: string[]) => run('ip', args);

export class NetworkNamespace {
  /** Of the end of the wire on this machine. */
  readonly hostAddress: string;
  /** Of the end inside. */
  readonly address: string;
  isCut = false;
  readonly #name: string;
  readonly #inside: string;

  private constructor(name: string, net: number) {
    this.#name = name;
    this.#inside = `${name}i`;
    this.hostAddress = `10.213.${net}.1`;
    this.address = `10.213.${net}.2`;
  }

  /** Throws with the message of `ip` when it cannot be made here, and removes its parts. */
  static async create(): Promise<NetworkNamespace> {
    const namespace = new NetworkNamespace(`een${process.pid}`, process.pid % 256);
    try {
      await namespace.#make();
    } catch (error) {
      await namespace.remove();
      throw error;
    }
    return namespace;
  }

  /** The command that a process is started within. */
  get within(): readonly string[] {
    return ['ip', 'netns', 'exec', this.#name];
  }

  /** Resolves when nothing passes any more. */
  async cut(): Promise<void> {
    this.isCut = true;
    await ip('-n', this.#name, 'link', 'set', this.#inside, 'down');
  }

  async heal(): Promise<void> {
    await ip('-n', this.#name, 'link', 'set', this.#inside, 'up');
    this.isCut = false;
  }

  /** Of what is there. */
  async remove(): Promise<void> {
    await ip('link', 'del', this.#outside).catch(() => {});
    await ip('netns', 'del', this.#name).catch(() => {});
  }

  get #outside(): string {
    return `${this.#name}o`;
  }

  async #make(): Promise<void> {
    const [name, inside, outside] = [this.#name, this.#inside, this.#outside];
    await ip('netns', 'add', name);
    await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
    await ip('addr', 'add', `${this.hostAddress}/30`, 'dev', outside);
    await ip('link', 'set', outside, 'up');
    await ip('-n', name, 'addr', 'add', `${this.address}/30`, 'dev', inside);
    await ip('-n', name, 'link', 'set', inside, 'up');
    await ip('-n', name, 'link', 'set', 'lo', 'up');
  }
}
