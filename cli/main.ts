/**
 * The command line: its commands and their options. Modules that only one command needs are loaded when it is called.
 */
import { Argument, Command, CommanderError, Option } from 'commander';
import { visibleLines } from '../core/text/visible.ts';
import packageJson from '../package.json' with { type: 'json' };
import { type CommonOptions, DEFAULT_URL } from './common-options.ts';
import { addVersionCommands } from './control/version-commands.ts';
import { doctor } from './doctor.ts';
import { cancel, list, stop } from './executions.ts';
import { explain } from './explain.ts';
import { EXIT, EXIT_MEANINGS, type ExitCode, reportFailure } from './failure.ts';
import { events, logs } from './history/events.ts';
import { append, integer, seconds, wholeNumber } from './options/values.ts';
import { flushOutput, writeLine } from './output.ts';
import { spareLoopback } from './proxy.ts';
import { compare } from './reading/compare.ts';
import { completion, SHELLS, type Shell } from './reading/completion.ts';
import { stats } from './reading/stats.ts';
import { status } from './status.ts';
import { complete, fail, forms, scopes, signal, step } from './waits/answers.ts';
import { claim, heartbeat } from './waits/tasks.ts';

const DEFAULT_PATIENCE_SECONDS = 60;
/** They read definitions, with a parser of YAML. */
const templateCommands = () => import('./templates.ts');
const runCommands = () => import('./run.ts');

const exitCode = await main(process.argv.slice(2));
const unwritten = await flushOutput();
if (unwritten !== null) writeLine(`error: the output cannot be written: ${unwritten}`);
await flushOutput();
// A module with step types may have left something running.
process.exit(unwritten === null ? exitCode : EXIT.failed);

/** Runs one command and returns its exit code. */
async function main(args: string[]): Promise<ExitCode> {
  try {
    spareLoopback(process.env);
    await createProgram().parseAsync(args, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return reportFailure(error, writeLine);
  }
}

function createProgram(): Command {
  const codes = EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`);
  const program = new Command('execution-engine')
    .description('Publish and run workflows on an Execution Engine.')
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({ writeErr: (text) => writeLine(visibleLines(text.trimEnd())) })
    .showHelpAfterError('(--help lists what is known)')
    .addHelpText('after', `\nExit codes:\n${codes.join('\n')}`);
  addConnection(program, true);
  addTemplateCommands(program);
  addStartCommands(program);
  addExecutionCommands(program);
  addWaitCommands(program);
  addTaskCommands(program);
  addControlCommands(program);
  addDoctorCommand(program);
  addCompletionCommand(program);
  return program;
}

function addTemplateCommands(program: Command): void {
  command(program, 'publish <file>', 'publish a definition (JSON or YAML; - is standard input)').action(
    async (file, _, self) => (await templateCommands()).publish(file, common(self)),
  );
  command(program, 'validate <file>', 'check a definition and publish nothing; needs no engine')
    .option('--steps <module>', 'module with step types of your own; may be repeated', append, [])
    .option('--online', 'ask the engine, which knows its step types and limits; so does --url')
    .action(async (file, { steps, online }, self) => {
      const { validate } = await import('./validate.ts');
      await validate(file, { ...common(self), steps, online: online === true || namesEngine(self) });
    });
  command(program, 'templates', 'list the latest version of every template')
    .option('--limit <number>', 'at most so many', wholeNumber)
    .option('--cursor <cursor>', 'go on after a page')
    .action(async (options, self) => (await templateCommands()).templates({ ...options, ...common(self) }));
  command(program, 'show <template>', 'show a template; its definition with -o json')
    .option('--template-version <number>', 'default: the latest', wholeNumber)
    .action(async (name, options, self) =>
      (await templateCommands()).show(name, { ...options, ...common(self) }),
    );
  command(program, 'archive <template>', 'archive every version of a template; what runs goes on').action(
    async (name, _, self) => (await templateCommands()).archive(name, common(self)),
  );
}

function addStartCommands(program: Command): void {
  addStartOptions(command(program, 'start <template>', 'start an execution of a published template'))
    .option('--template-version <number>', 'default: the latest', wholeNumber)
    .option('--wait', 'wait for the end and print the outputs')
    .action(async (template, options, self) =>
      (await runCommands()).start(template, { ...options, ...common(self) }),
    );
  addStartOptions(
    command(program, 'run <file>', 'publish a definition, run it, show its progress, print its outputs'),
  ).action(async (file, options, self) => (await runCommands()).run(file, { ...options, ...common(self) }));
}

function addExecutionCommands(program: Command): void {
  command(program, 'status <execution>', 'show an execution and its steps')
    .option('--outputs', 'with the outputs of every step')
    .option('--wait', 'show its progress to its end first; exits as run does')
    .option('--scope <scope>', 'the steps of a scope, such as each[3], instead of the top level')
    .action((execution, options, self) => status(execution, { ...options, ...common(self) }));
  command(program, 'explain <execution>', 'say why an execution is not over, and what must happen next')
    .option('--scope <scope>', 'the steps of this scope, such as each[3]')
    .option('--history', 'also where the time of finished steps went')
    .option('--cursor <cursor>', 'go on after a page')
    .action((execution, options, self) => explain(execution, { ...options, ...common(self) }));
  command(program, 'events <execution>', 'list what has happened to an execution')
    .option('-f, --follow', 'and what happens, to its end')
    .option('--scope <scope>', 'in this scope, such as each[3]')
    .option('--after <event>', 'after the event with this id')
    .action((execution, options, self) => events(execution, { ...options, ...common(self) }));
  command(program, 'logs <execution>', 'show what the handlers of an execution have logged')
    .option('-f, --follow', 'and what they log, to its end: the lines of an attempt come with its end')
    .option('--step <key>', 'of this step alone')
    .option('--scope <scope>', 'in this scope, such as each[3]')
    .action((execution, options, self) => logs(execution, { ...options, ...common(self) }));
  command(program, 'stop <execution>', 'stop an execution; running steps get their grace time')
    .option('--reason <text>', 'kept with the execution')
    .action((execution, options, self) => stop(execution, { ...options, ...common(self) }));
  command(program, 'cancel <execution>', 'end an execution at once (needs an admin key where there are keys)')
    .option('--reason <text>', 'kept with the execution')
    .action((execution, options, self) => cancel(execution, { ...options, ...common(self) }));
  command(program, 'list', 'list executions, newest first')
    .option('--status <status>', 'only these')
    .option('--template <name>', 'only of this template')
    .option('--tag <tag>', 'only with this tag')
    .option('--since <time>', 'only those created at this instant or later')
    .option('--until <time>', 'only those created before this instant')
    .option('--search <text>', 'an id, idempotency key, tag, template or error code, or a part of one')
    .option('--parent <execution>', 'only children of this execution')
    .option('--root <execution>', 'this execution and all below it; else only those that no step has started')
    .option('--sort <order>', 'created_at (default) or duration: the one that ran longest first')
    .option('--limit <number>', 'at most so many', wholeNumber)
    .option('--cursor <cursor>', 'go on after a page')
    .action((options, self) => list({ ...options, ...common(self) }));
  command(program, 'compare <execution> <other>', 'show what differs between two executions of a template')
    .option('--scope <scope>', 'a scope that both have, such as each[3]')
    .action((a, b, options, self) => compare(a, b, { ...options, ...common(self) }));
  command(program, 'stats', 'count executions by how they ended, and show how long they took')
    .option('--since <time>', 'from this instant on; default: a day ago')
    .option('--until <time>', 'up to this instant; default: now')
    .option('--bucket <duration>', 'length of a row: 1m, 5m, 1h, 1d ...')
    .option('--template <name>', 'only of this template')
    .action((options, self) => stats({ ...options, ...common(self) }));
}

function addWaitCommands(program: Command): void {
  command(program, 'signal <execution> <name>', 'send a signal, which a step waits for or will')
    .option('--payload <value>', 'a value as of --input: text, a number, JSON or @file')
    .option('--signal-id <id>', 'counts once in the execution')
    .option('--scope <scope>', 'only for waits of this scope, such as each[3]')
    .action((execution, name, options, self) => signal(execution, name, { ...options, ...common(self) }));
  command(program, 'scopes <execution> <step>', 'list the scopes of a step, such as the items of a foreach')
    .option('--status <status>', 'only these')
    .option('--limit <number>', 'at most so many', wholeNumber)
    .option('--cursor <cursor>', 'go on after a page')
    .action((execution, path, options, self) => scopes(execution, path, { ...options, ...common(self) }));
  command(program, 'step <step>', 'show a step with its attempts and outputs').action((id, _, self) =>
    step(id, common(self)),
  );
  command(program, 'complete <step>', 'complete a step that waits for a form, a request or a worker')
    .option('--value <value>', 'its output, as of --input: text, a number, JSON or @file')
    .option('--user <user>', 'of a form: who answers')
    .option('--decision <decision>', 'of a form with a quorum: approve or reject')
    .option('--comment <text>', 'of a form with a quorum')
    .option('--force', 'whatever the step does, unless it is over')
    .option('--dry-run', 'with --force: only say what would change')
    .option('--claim <token>', 'of a task: the token with which it was claimed')
    .action((id, options, self) => complete(id, { ...options, ...common(self) }));
  command(program, 'fail <step>', 'fail such a step; a form is rejected')
    .option('--code <code>', 'of the failure')
    .option('--message <text>', 'of the failure')
    .option('--retryable', 'may be tried again')
    .option('--force', 'whatever the step does, unless it is over')
    .option('--dry-run', 'with --force: only say what would change')
    .option('--user <user>', 'of a form: who answers')
    .option('--claim <token>', 'of a task: the token with which it was claimed')
    .action((id, options, self) => fail(id, { ...options, ...common(self) }));
  command(program, 'forms', 'list the forms that wait for people')
    .option('--assignee <user>', 'only those of this user or role:<name>')
    .option('--limit <number>', 'at most so many', wholeNumber)
    .option('--cursor <cursor>', 'go on after a page')
    .action((options, self) => forms({ ...options, ...common(self) }));
}

function addTaskCommands(program: Command): void {
  command(program, 'claim <queue>', 'claim tasks, as a worker does')
    .option('--worker <name>', 'shown in the status; default: the name of this machine')
    .option('--max <number>', 'at most so many, up to 100; default: 1', wholeNumber)
    .option('--wait <time>', 'how long to wait for a task, up to 60s; default: not at all')
    .action((queue, options, self) => claim(queue, { ...options, ...common(self) }));
  command(program, 'heartbeat <task>', 'keep a claimed task for the time of its lease')
    .requiredOption('--claim <token>', 'the token with which it was claimed')
    .action((id, options, self) => heartbeat(id, { ...options, ...common(self) }));
}

function addControlCommands(program: Command): void {
  command(program, 'retry <execution>', 'let an execution go on that is over')
    .option('--from <step>', 'this step and all after it run again')
    .option('--only <step>', 'this step runs again, and what comes after it and has not completed')
    .option('--set <path=value>', 'completes a failed step with a value; may be repeated', append, [])
    .option('--skip <step>', 'skips a failed step; may be repeated', append, [])
    .option('--dry-run', 'only say what would change')
    .option('--wait', 'wait for the end and print the outputs')
    .action(async (execution, options, self) => {
      const { retry } = await import('./control/retry.ts');
      await retry(execution, { ...options, ...common(self) });
    });
  command(program, 'skip <step>', 'skip a step by hand')
    .option('--force', 'whatever the step does, unless it is over')
    .option('--dry-run', 'only say what would change')
    .action(async (id, options, self) => {
      const { skip } = await import('./control/retry.ts');
      await skip(id, { ...options, ...common(self) });
    });
  for (const [act, what] of [
    ['pause', 'begin nothing more in an execution, or in all that fit the options'],
    ['resume', 'let an execution go on, or all that fit the options'],
  ] as const)
    command(program, `${act} [execution]`, what)
      .option('--status <status>', 'only these')
      .option('--template <name>', 'only of this template')
      .option('--tag <tag>', 'only with this tag')
      .option('--since <time>', 'only those created at this instant or later')
      .option('--until <time>', 'only those created before this instant')
      .option('--search <text>', 'an id, idempotency key, tag, template or error code, or a part of one')
      .option('--limit <number>', 'look at so many; default 1000', wholeNumber)
      .option('--cursor <cursor>', 'go on after a call')
      .option('--dry-run', 'change nothing, and say what would be done')
      .action(async (execution, options, self) => {
        const { changeHold } = await import('./control/pause.ts');
        await changeHold(act, execution, { ...options, ...common(self) });
      });
  addVersionCommands((usage, told) => command(program, usage, told), { common, append, wholeNumber });
}

function addDoctorCommand(program: Command): void {
  command(program, 'doctor', 'check the invariants of the design (needs an admin key where there are keys)')
    .option('--repair', 'put right what can be put right without a guess')
    .option('--everything', 'also final executions older than an hour, and every execution as a whole')
    .option('--grace <seconds>', 'for how long something must have been so', seconds)
    .option('--accept <invariant>', 'may be broken here; may be repeated', append, [])
    .action((options, self) => doctor({ ...options, ...common(self) }));
}

function addCompletionCommand(program: Command): void {
  const shell = new Argument('<shell>', 'the shell that is to complete').choices(SHELLS);
  program
    .command('completion')
    .description('print what bash or zsh needs to complete commands and options')
    .addArgument(shell)
    .action((name: Shell) => completion(name, program));
}

function command(program: Command, usage: string, description: string): Command {
  return addConnection(program.command(usage).description(description), false);
}

/** The connection may be named before and after the command; only the first place looks into the environment. */
function addConnection(target: Command, environment: boolean): Command {
  const url = new Option('--url <url>', `address of the engine (default: ${DEFAULT_URL})`);
  const token = new Option('--token <key>', 'API key');
  if (environment) {
    url.env('EXECUTION_ENGINE_URL');
    token.env('EXECUTION_ENGINE_TOKEN');
  }
  const patience = `repeat calls that fail in passing for so long (default: ${DEFAULT_PATIENCE_SECONDS})`;
  const output = new Option('-o, --output <format>', 'how results are printed').choices(['json', 'table']);
  return target
    .addOption(url)
    .addOption(token)
    .option('--patience <seconds>', patience, seconds)
    .addOption(output);
}

function addStartOptions(target: Command): Command {
  return target
    .option(
      '-i, --input <input>',
      'key=value, key=@file, JSON, or @file (- is standard input); may be repeated',
      append,
      [],
    )
    .option('--idempotency-key <key>', 'the same key returns the same execution')
    .option('--priority <number>', 'higher first', integer)
    .option('--tag <tag>', 'may be repeated', append, [])
    .option('--start-after <time>', 'begin at an instant (2027-01-31T08:00:00Z) or after a duration (5m)')
    .option('--callback-url <url>', 'gets the execution when it is final');
}

function common(self: Command): CommonOptions {
  const before = self.parent?.opts<Partial<CommonOptions>>() ?? {};
  const after = self.opts<Partial<CommonOptions>>();
  return {
    // A variable that is set and empty counts as not set.
    url: after.url || before.url || DEFAULT_URL,
    token: after.token ?? before.token,
    patience: after.patience ?? before.patience ?? DEFAULT_PATIENCE_SECONDS,
    output: after.output ?? before.output ?? 'table',
  };
}

/** Returns whether the command line itself names the engine. */
function namesEngine(self: Command): boolean {
  return [self, self.parent].some((command) => command?.getOptionValueSource('url') === 'cli');
}
