/**
 * The part of a step type that the core needs to check a definition; how it runs is defined in steps/.
 */

import type { WaitKind } from './event.ts';
import type { Json, JsonObject, JsonSchema } from './json/json.ts';
import type { Problem } from './problem.ts';
import type { ScopeName } from './template.ts';

export interface StepTypeInfo {
  /** Name as `type:` gives it. */
  readonly type: string;
  /** One sentence for docs and editors. */
  readonly summary?: string;
  /** JSON Schema 2020-12 of `with`. A string with an expression is checked once it is evaluated. */
  readonly schema: JsonSchema;
  /**
   * Parameters with their own scope and time of evaluation, not interpolated with the rest, as JSON pointers
   * below `with` in which `*` stands for any segment, e.g. `/cases/*` + `/when`.
   */
  readonly deferred?: readonly string[];
  /** Parameters that hold steps, which the type runs as scopes. They are deferred. */
  readonly holds?: readonly HeldScope[];
  /**
   * The handler spends its time in one of a few sandbox processes. Such steps, and those with expressions that only the
   * sandbox can evaluate, get at most half of an engine's slots: those that wait do not hold up everything else.
   */
  readonly sandboxed?: boolean;
  /**
   * Returns whether the handler reads `inputs`, given the parameters as written; undefined: it does. When false,
   * inputs are read only for expressions that name them.
   */
  readsInputs?(params: JsonObject | undefined): boolean;
  /** Returns whether the output holds all inputs, given the parameters as written; undefined: it does not. */
  passesInputs?(params: JsonObject | undefined): boolean;
  /** The kind of `waiting_for` with which the handler may leave the process. */
  readonly waitsFor?: WaitKind;
  /** Name of the parameter that is the JSON Schema of the answer. It is deferred. */
  readonly schemaIn?: string;
  /** Further parameters that are JSON Schemas, checked when a definition is published. The patterns are as those of `deferred`. */
  readonly schemasIn?: readonly string[];
  /** Name of the parameter that is the step's `timeout`, a duration. A definition gives one of the two. */
  readonly timeoutIn?: string;
  /** Name of the parameter that says how long the step takes, a duration. */
  readonly takes?: string;
  /** Name of the parameter that limits the time of the handler, a duration. */
  readonly limitedBy?: string;
  /** Returns the settings that a step with these parameters, as written, needs and this engine does not have. */
  missingSettings?(written: JsonObject): readonly string[];
  /** True when the handler never sends heartbeats, so a definition cannot require them. */
  readonly sendsNoHeartbeats?: boolean;
  /**
   * Returns the faults of parameters that the schema cannot find and that would always fail the step. Called when a
   * definition is published; a value that an expression determines is undefined in `known`.
   */
  review?(known: KnownParams, written: JsonObject): readonly ParamFault[];
  /** Returns the routes a result of this step can name, from its parameters; undefined: the type has none. */
  routes?(params: JsonObject): readonly string[];
  /** Returns the sets of these routes that one result can name; undefined: any combination. */
  routesTogether?(params: JsonObject): readonly (readonly string[])[];
}

/** Steps in a parameter, as a type declares them. The patterns are as those of `deferred`. */
export interface HeldScope {
  /** Pattern of the steps: `/steps`, or `/tools/*` + `/steps`. */
  readonly steps: string;
  /** Pattern of the scope's output, with `*` for the same segments; undefined: it has the default output. */
  readonly output?: string;
  /**
   * Patterns of parameters that the type evaluates for each run with the scope's names, such as `/while`. They see the
   * steps before the holder, and not those inside it. Their expressions are evaluated wherever they stand.
   */
  readonly alongside?: readonly string[];
  /** Names that each run gives a value. */
  readonly names: readonly ScopeName[];
  /** Whether each run has an `input` of its own. */
  readonly ownInput?: boolean;
  /** Set when `workflow`, beside the steps and instead of them, may name a template: each run then starts a child. */
  readonly children?: { /** What a child gets without `inputs`. */ readonly inputs: Json };
}

/** Returns the patterns of all parameters that are not interpolated with the rest. */
export function deferredOf({ deferred = [], holds = [] }: StepTypeInfo): readonly string[] {
  if (holds.length === 0) return deferred;
  return [...deferred, ...holds.flatMap(({ alongside = [] }) => alongside), ...innerOf(holds)];
}

/** Returns the patterns of the parameters that belong to the scopes: their steps and outputs, or their children. */
export function innerOf(holds: readonly HeldScope[]): readonly string[] {
  return holds.flatMap((scope) => {
    const { steps, output, children } = scope;
    const called = children === undefined ? [] : CHILD_PARAMS.map((name) => `${besideSteps(scope)}/${name}`);
    return [steps, ...(output === undefined ? [] : [output]), ...called];
  });
}

/** Parameters of a child beside the steps that it replaces. */
const CHILD_PARAMS = ['workflow', 'version', 'inputs'];

/** Returns the pattern of the object that has the steps of a scope. */
export function besideSteps({ steps }: Pick<HeldScope, 'steps'>): string {
  return steps.slice(0, steps.lastIndexOf('/'));
}

/** Parameters as written, as far as they are known before their expressions are evaluated. */
export type KnownParams = Readonly<Record<string, unknown>>;

export interface ParamFault {
  /** JSON pointer below `with`. */
  readonly pointer: string;
  /** The fault, and how to fix it. */
  readonly message: string;
}

/** The registered step types, by name. */
export type StepTypeRegistry<T extends StepTypeInfo = StepTypeInfo> = ReadonlyMap<string, T>;

/** Findings of an expression checker in one string or JSON value (expression/ provides it). */
export interface ExpressionUse {
  /** Syntax errors, with the pointer below the value that was checked. */
  problems: readonly Problem[];
  /** `steps.<key>` references, each once, with the pointer of the string that holds it. */
  stepReferences: readonly { key: string; pointer: string }[];
  /** `inputs.<key>` references. */
  inputReferences: readonly { key: string; pointer: string }[];
  memberReferences: readonly MemberReference[];
  /** Reads of names that only some scopes know. */
  nameReferences: readonly NameReference[];
  /** Numbers whose value would change in JavaScript. */
  inexactNumbers: readonly InexactLiteral[];
}

/** A number as written in an expression. */
export interface InexactLiteral {
  readonly literal: string;
  readonly pointer: string;
}

/** A read of a name below a root with a fixed set of names. */
export interface MemberReference {
  readonly root: 'execution' | 'secrets' | 'vars';
  readonly key: string;
  readonly pointer: string;
}

/** A read of a name that only some scopes know. */
export interface NameReference {
  readonly name: ScopeName;
  readonly pointer: string;
}

export interface ExpressionChecker {
  /** Checks every `${{ }}` in every string of a JSON value, except at the deferred pointers. */
  check(value: Json, deferred?: readonly string[]): ExpressionUse;
}
