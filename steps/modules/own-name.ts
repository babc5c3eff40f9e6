/**
 * Lets modules import `execution-engine/steps` from any folder, with or without packages.
 *
 * The import always leads to the code of the engine that runs. A copy of the engine beside the module, which its editor
 * may use, has classes of its own: a `StepFailure` of it would be an error like any other.
 */
import module from 'node:module';
import * as entry from './define-step.ts';

const NAME = 'execution-engine/steps';
const ENTRY = new URL('./define-step.ts', import.meta.url);

interface ResolveHooks {
  resolve(
    specifier: string,
    context: unknown,
    next: (specifier: string, context: unknown) => unknown,
  ): unknown;
}

let isProvided = false;

/** Has an effect once in a process. */
export function provideOwnName(): void {
  if (isProvided) return;
  isProvided = true;
  if (process.versions.bun === undefined) provideInNode();
  else provideInBun();
}

function provideInBun(): void {
  // A hook that resolves the name would not be asked: the name is looked up as a package first.
  Bun.plugin({
    name: NAME,
    setup: (build) => {
      build.module(NAME, () => ({ exports: { ...entry }, loader: 'object' }));
    },
  });
}

function provideInNode(): void {
  const { registerHooks } = module as unknown as { registerHooks?(hooks: ResolveHooks): unknown };
  registerHooks?.({
    resolve: (specifier, context, next) =>
      specifier === NAME ? { url: ENTRY.href, shortCircuit: true } : next(specifier, context),
  });
}
