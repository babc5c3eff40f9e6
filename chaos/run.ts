/**
 * A run from its beginning to its report: faults while executions are started, then a calm in which all must end, then
 * the checks.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createEngineClient } from '../client/engine-client.ts';
import { assertInvariants } from '../tests/support/invariants.ts';
import { checkExecutions } from './checks.ts';
import { CHILD } from './children/document.ts';
import { ChaosClient } from './client.ts';
import { dump } from './dump.ts';
import { checkEndings, readFigures } from './figures/figures.ts';
import { watchProcessors } from './figures/processors.ts';
import { Nemesis } from './nemesis.ts';
import type { Options } from './options.ts';
import { Plan } from './plan.ts';
import { makeReport, type Report } from './report.ts';
import type { Stage } from './stage/stage.ts';
import { chaosStepTypes } from './step-types.ts';
import { TRANSITION_CHECKS, TRANSITION_INDEXES } from './transitions.ts';
import { Violations } from './violations.ts';
import { SIGNAL_CHECKS } from './waits/checks.ts';
import { Signaller } from './waits/signaller.ts';
import { WITNESS_INDEXES } from './witness.ts';

const LOOK_MS = 250;
const TELL_EVERY_MS = 10_000;
/** The faults go on until so few executions are left of those under way, or for this long. */
const REST_SHARE = 0.1;
const LONGEST_REST_MS = 20_000;
const STALE = 'execution_engine_stale_completions_total';

export async function run(options: Options, stage: Stage, tell: (line: string) => void): Promise<Report> {
  const run = new Run(options, stage, tell);
  return run.play();
}

class Run {
  readonly #options: Options;
  readonly #stage: Stage;
  readonly #tell: (line: string) => void;
  readonly #plan: Plan;
  readonly #client: ChaosClient;
  readonly #nemesis: Nemesis;
  readonly #signaller: Signaller;
  readonly #violations = new Violations();
  /** The value at the last check. */
  #open = 0;

  constructor(options: Options, stage: Stage, tell: (line: string) => void) {
    this.#options = options;
    this.#stage = stage;
    this.#tell = tell;
    this.#plan = new Plan(options);
    const { fleet, witness, admin } = stage;
    this.#signaller = new Signaller({ seed: options.seed, fleet, admin });
    this.#client = new ChaosClient({
      plan: this.#plan,
      fleet,
      witness,
      countOpen: () => this.#countOpen(),
      sendEarly: (id, place, seed) => this.#signaller.sendEarly(id, place, seed),
      isEnough: () => this.#nemesis.hasStruckEnough(),
    });
    this.#nemesis = new Nemesis({ options, ...stage });
  }

  async play(): Promise<Report> {
    const begunAt = performance.now();
    await this.#publish();
    this.#signaller.start();
    this.#stage.workers.start();
    const faultsAt = performance.now();
    const useOfProcessors = await watchProcessors();
    await this.#withFaults();
    const processors = await useOfProcessors();
    const calmAt = performance.now();
    await this.#calmDown();
    const doneAt = performance.now();
    this.#tell('checking');
    const findings = await this.#check();
    const seconds = {
      faults: inSeconds(faultsAt, calmAt),
      calm: inSeconds(calmAt, doneAt),
      total: inSeconds(begunAt, performance.now()),
    };
    const report = makeReport(this.#options, { seconds, processors, ...findings }, this.#stage.folder);
    if (report.verdict === 'violations')
      await dump(this.#stage.folder, this.#violations.executionIds, this.#stage);
    return report;
  }

  async #publish(): Promise<void> {
    const { fleet } = this.#stage;
    fleet.start();
    await fleet.allReady();
    const client = createEngineClient({ url: fleet.ready[0]!.url! });
    await client.publish(JSON.stringify(CHILD), 'application/json');
    for (const { document } of this.#plan.definitions)
      await client.publish(JSON.stringify(document), 'application/json');
  }

  async #withFaults(): Promise<void> {
    const timer = setInterval(() => this.#tell(this.#progress()), TELL_EVERY_MS);
    const limit = setTimeout(() => this.#client.stop(), this.#options.atMost * 1_000);
    this.#nemesis.start();
    try {
      await this.#client.startAll();
      const until = performance.now() + LONGEST_REST_MS;
      while (performance.now() < until) {
        const open = await this.#countOpen().catch(() => Number.POSITIVE_INFINITY);
        if (open <= this.#options.inFlight * REST_SHARE) break;
        await sleep(LOOK_MS);
      }
    } finally {
      clearTimeout(limit);
      clearInterval(timer);
      await this.#nemesis.stop();
    }
  }

  async #calmDown(): Promise<void> {
    this.#tell(`${this.#progress()}; calm now`);
    const until = performance.now() + this.#options.calm * 1_000;
    const answered = this.#client.endingsAnswered();
    while (performance.now() < until) {
      const open = await this.#countOpen();
      if (open === 0) break;
      await sleep(LOOK_MS);
    }
    this.#client.stop();
    await this.#signaller.stop();
    await answered;
  }

  async #check() {
    const { admin, witness, fleet, proxy, adminUrl } = this.#stage;
    const violations = this.#violations;
    const staleCompletions = await fleet.total(STALE);
    await witness.query(WITNESS_INDEXES);
    await admin.query(TRANSITION_INDEXES);
    const checked = await checkExecutions({ plan: this.#plan, admin, witness, violations });
    for (const [check, text] of Object.entries({ ...TRANSITION_CHECKS, ...SIGNAL_CHECKS }))
      for (const { execution_id, detail } of (await admin.query(text)).rows)
        violations.add(check, execution_id, detail);
    await checkEndings(witness, violations);
    for (const complaint of [...this.#client.complaints, ...this.#signaller.complaints])
      violations.add('an answer was wrong', null, complaint);
    for (const { engine, wasReady, lastLines } of fleet.gaveUp)
      if (wasReady) violations.add('an engine ended by itself', null, `${engine}: ${lastLines.join(' | ')}`);
    await assertInvariants(adminUrl, { allFinal: true, extra: chaosStepTypes() }).catch((error: Error) => {
      for (const line of error.message.split('\n').slice(1)) violations.add('the doctor', null, line);
    });
    return {
      client: this.#client.counts,
      signals: this.#signaller.counts,
      workerStarts: this.#stage.workers.starts,
      checked,
      faults: this.#nemesis.counts,
      wire: proxy.counts,
      figures: await readFigures({ witness, admin, folder: this.#stage.folder }),
      staleCompletions,
      engineStarts: fleet.starts,
      gaveUp: fleet.gaveUp,
      violations: violations.list,
    };
  }

  async #countOpen(): Promise<number> {
    const { rows } = await this.#stage.admin.query(
      `select count(*)::integer as count from workflow_executions where status in ('pending', 'running', 'paused', 'compensating')`,
    );
    this.#open = rows[0].count;
    return this.#open;
  }

  #progress(): string {
    const { kill, pause, drop } = this.#nemesis.counts;
    const database = this.#nemesis.counts['db-kill'] + this.#nemesis.counts['db-restart'];
    const { started } = this.#client.counts;
    return `${started} of ${this.#options.executions} started, ${this.#open} open; ${kill} kills, ${pause} pauses, ${database} database faults, ${drop} drops, ${this.#stage.proxy.counts.eaten} commits eaten`;
  }
}

function inSeconds(from: number, to: number): number {
  return Math.round((to - from) / 100) / 10;
}
