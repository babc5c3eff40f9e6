/**
 * One cell: a workload on a running process, sized so that it takes a few seconds, with the CPU it used.
 */
import { cpuMs, machineBusyMs } from './cost.ts';
import type { Ran, Workload } from './subject/protocol.ts';

/** Of one execution; a job of raw pg-boss counts as one. */
export const STEPS: Readonly<Record<Workload, number>> = {
  single: 1,
  chain: 10,
  fan: 102,
  'real-single': 1,
  'real-chain': 10,
  'real-fan': 102,
  'sandbox-chain': 10,
  lifecycle: 1,
  sleep: 1,
};

export interface Cell {
  readonly executions: number;
  readonly seconds: number;
  /** Steps (or jobs) per second. */
  readonly rate: number;
  /** CPU milliseconds per step of the measured process; null where it cannot be read. */
  readonly processMs: number | null;
  /** The same of its server (PostgreSQL or Redis). */
  readonly serverMs: number | null;
  /** Cores that other work of this machine kept busy meanwhile: the measure of how quiet it was. */
  readonly otherCores: number | null;
  readonly detail?: Readonly<Record<string, number>>;
}

export interface Pids {
  readonly process: number;
  readonly server: number;
}

/** Runs the workload once and reads time and CPU around it. */
export async function measureCell(
  workload: Workload,
  executions: number,
  pids: Pids,
  run: (executions: number) => Promise<Ran>,
): Promise<Cell> {
  const before = readCpu(pids);
  const begun = performance.now();
  const { seconds, detail } = await run(executions);
  const wallMs = performance.now() - begun;
  const after = readCpu(pids);
  const steps = executions * STEPS[workload];
  const cpu = before === null || after === null ? null : difference(before, after);
  return {
    executions,
    seconds,
    rate: steps / seconds,
    processMs: cpu === null ? null : cpu.process / steps,
    serverMs: cpu === null ? null : cpu.server / steps,
    otherCores:
      cpu === null ? null : Math.max(0, (cpu.machine - cpu.process - cpu.server - cpu.own) / wallMs),
    ...(detail === undefined ? {} : { detail }),
  };
}

interface Cpu {
  readonly process: number;
  readonly server: number;
  readonly machine: number;
  readonly own: number;
}

function readCpu(pids: Pids): Cpu | null {
  const [child, server, machine] = [cpuMs(pids.process), cpuMs(pids.server), machineBusyMs()];
  if (child === null || server === null || machine === null) return null;
  const { user, system } = process.cpuUsage();
  return { process: child, server, machine, own: (user + system) / 1000 };
}

function difference(a: Cpu, b: Cpu): Cpu {
  return {
    process: b.process - a.process,
    server: b.server - a.server,
    machine: b.machine - a.machine,
    own: b.own - a.own,
  };
}

const FIRST_SIZES: Readonly<Record<Workload, number>> = {
  single: 200,
  chain: 50,
  fan: 5,
  'real-single': 200,
  'real-chain': 50,
  'real-fan': 5,
  'sandbox-chain': 10,
  lifecycle: 2_000,
  sleep: 100,
};
const MAX_EXECUTIONS = 100_000;
const WARM_SECONDS = 0.5;

/** How many executions fill a cell, learned from the cells before. */
export class Sizes {
  readonly #seconds: number;
  readonly #perSecond = new Map<string, number>();

  constructor(cellSeconds: number) {
    this.#seconds = cellSeconds;
  }

  /** Runs the workload until it is warm and its rate is known well enough to size a cell. */
  async warm(key: string, workload: Workload, run: (executions: number) => Promise<Ran>): Promise<void> {
    if (!this.#perSecond.has(key)) {
      const first = FIRST_SIZES[workload];
      this.learn(key, first / (await run(first)).seconds);
    }
    const executions = this.#sized(key, WARM_SECONDS);
    this.learn(key, executions / (await run(executions)).seconds);
  }

  learn(key: string, executionsPerSecond: number): void {
    this.#perSecond.set(key, executionsPerSecond);
  }

  of(key: string): number {
    return this.#sized(key, this.#seconds);
  }

  #sized(key: string, seconds: number): number {
    const wanted = (this.#perSecond.get(key) ?? 1) * seconds;
    return Math.min(MAX_EXECUTIONS, Math.max(2, Math.round(wanted)));
  }
}
