/**
 * Guards (`when`, `while`, a case's `when`): a boolean, or a string that is exactly one expression.
 */
import { cutText } from '../core/text/cut.ts';
import type { CompiledCondition, CompiledValue, Native } from './compiled.ts';
import { compileValue } from './compiled-value.ts';

/**
 * Compiles a guard: a boolean, or a string that is exactly one expression; its value is true or false by
 * JavaScript's truthiness. Anything else is the problem `when_not_expression`. Never throws.
 */
export function compileCondition(value: boolean | string): CompiledCondition {
  const compiled = compileValue(value);
  if (typeof value === 'boolean') return { ...compiled, condition: true };
  if (compiled.node.kind !== 'value')
    return { ...compiled, ...notACondition(value, compiled), condition: true };
  const { native, ...part } = compiled.parts[0]!;
  const truth: Native | null = native === null ? null : (scope) => Boolean(native(scope));
  // The sandbox computes the truth of its value itself: a function or a NaN cannot be sent back.
  const code = `Boolean((${part.code}\n))`;
  return { ...compiled, parts: [{ ...part, code, native: truth }], condition: true };
}

function notACondition(found: string, { problems }: CompiledValue): Pick<CompiledValue, 'problems' | 'node'> {
  const node = { kind: 'constant', value: false } as const;
  if (problems.length > 0) return { problems, node };
  const shown = JSON.stringify(cutText(found, 68));
  const message = `a condition is true, false or exactly one expression such as \${{ input.total > 100 }}, found ${shown}`;
  return { problems: [{ pointer: '', code: 'when_not_expression', message }], node };
}
