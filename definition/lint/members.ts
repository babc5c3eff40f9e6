/**
 * Finds names without a value, and unknown names below `execution`, `secrets` and `vars`.
 *
 * The names of `execution` are fixed, so an unknown one is an error. A secret or variable may be added before the step
 * runs, so a missing one is a warning; if it is still missing, the step fails.
 */
import type { MemberReference, NameReference, StepTypeRegistry } from '../../core/step-type.ts';
import { listNames, type ProblemList, quote } from '../problem-list.ts';
import type { LintContext } from './context.ts';

export const EXECUTION_MEMBERS = ['id', 'template', 'version', 'hooks'] as const;

export function checkMembers(
  references: readonly MemberReference[],
  { secrets }: LintContext,
  errors: ProblemList,
  warnings: ProblemList,
): void {
  for (const { root, key, pointer } of references) {
    if (root === 'execution') checkExecution(key, pointer, errors);
    else if (root === 'vars') {
      const message = `There is no variable ${quote(key)}: the step will fail with variable_missing. Pass the value as an input or write it down here.`;
      warnings.add(pointer, 'variable_missing', message);
    } else if (secrets !== null && !secrets.has(key)) {
      const message = `There is no secret ${quote(key)} yet: the step will fail with secret_missing. Add it to the file that EXECUTION_ENGINE_SECRETS_FILE names, or mend the name.`;
      warnings.add(pointer, 'secret_missing', message);
    }
  }
}

function checkExecution(key: string, pointer: string, errors: ProblemList): void {
  if (EXECUTION_MEMBERS.some((name) => name === key)) return;
  const hint = errors.suggest(key, EXECUTION_MEMBERS);
  const message = `execution has no ${quote(key)}; it has ${listNames(EXECUTION_MEMBERS)}.${hint}`;
  errors.add(pointer, 'unknown_reference', message);
}

/** Reports reads of `item` and the like where no scope gives them a value. */
export function reportNames(
  names: readonly NameReference[],
  { stepTypes }: LintContext,
  errors: ProblemList,
): void {
  for (const { name, pointer } of names) {
    errors.add(pointer, 'unknown_reference', () => {
      if (name === 'compensates') return '"compensates" has a value only in "compensateWith".';
      const types = typesThatName(name, stepTypes);
      const where =
        types.length === 0 ? '' : `; only steps inside a step of type ${types.join(' or ')} know it`;
      return `"${name}" has no value here${where}.`;
    });
  }
}

function typesThatName(name: NameReference['name'], stepTypes: StepTypeRegistry): string[] {
  const types = [...stepTypes.values()].filter(({ holds }) =>
    holds?.some(({ names }) => names.includes(name)),
  );
  return types.map(({ type }) => type).sort();
}
