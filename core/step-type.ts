/**
 * What the core knows of a step type: enough to check a definition, nothing of how it runs.
 */
import type { Json, JsonObject, JsonSchema } from './json/json.ts';
import type { Problem } from './problem.ts';

export interface StepTypeInfo {
  /** Name as `type:` gives it. */
  readonly type: string;
  /** One sentence for docs and editors. */
  readonly summary?: string;
  /** JSON Schema 2020-12 of `with`. A string that holds an expression is not held against it until it is evaluated. */
  readonly schema: JsonSchema;
  /**
   * Parameters that have their own scope and moment and are not interpolated with the rest, as JSON pointers
   * below `with` in which `*` stands for any segment, e.g. `/cases/*` + `/when`.
   */
  readonly deferred?: readonly string[];
  /**
   * The handler spends its time in one of a few sandbox processes: such steps get at most half of an engine's
   * slots, so that those of one execution do not hold up everything else.
   */
  readonly sandboxed?: boolean;
  /**
   * Whether the handler reads `inputs`, by the parameters as they are written; undefined: it does. Otherwise they are
   * read only for expressions that name them.
   */
  readsInputs?(params: JsonObject | undefined): boolean;
  /** Whether the output holds all that arrived, by the parameters as they are written; undefined: it does not. */
  passesInputs?(params: JsonObject | undefined): boolean;
  /** A definition cannot expect heartbeats of the handler. */
  readonly sendsNoHeartbeats?: boolean;
  /**
   * What is wrong with parameters beyond their schema: mistakes that the step could only fail for. Asked when a
   * definition is published; a value that an expression decides is undefined in `known`.
   */
  review?(known: KnownParams, written: JsonObject): readonly ParamFault[];
  /** Routes a result of this step can name, read from its parameters; undefined: the type has none. */
  routes?(params: JsonObject): readonly string[];
  /** Sets of these routes that one result can name; undefined: any of them together. */
  routesTogether?(params: JsonObject): readonly (readonly string[])[];
}

/** Parameters as they are written, as far as they are known before their expressions are evaluated. */
export type KnownParams = Readonly<Record<string, unknown>>;

export interface ParamFault {
  /** JSON pointer below `with`. */
  readonly pointer: string;
  /** What is wrong, and how to mend it. */
  readonly message: string;
}

/** The registered step types, by name. */
export type StepTypeRegistry<T extends StepTypeInfo = StepTypeInfo> = ReadonlyMap<string, T>;

/** What an expression checker found in one string or JSON value (expression/ provides it). */
export interface ExpressionUse {
  /** Syntax errors, with the pointer below the value that was checked. */
  problems: readonly Problem[];
  /** `steps.<key>` references, each once, with the pointer of the string that holds it. */
  stepReferences: readonly { key: string; pointer: string }[];
  /** `inputs.<key>` references. */
  inputReferences: readonly { key: string; pointer: string }[];
  memberReferences: readonly MemberReference[];
  /** Numbers that JavaScript would read as others. */
  inexactNumbers: readonly InexactLiteral[];
}

/** A number as an expression writes it. */
export interface InexactLiteral {
  readonly literal: string;
  readonly pointer: string;
}

/** A read of a name below a root that has names of its own. */
export interface MemberReference {
  readonly root: 'execution' | 'secrets' | 'vars';
  readonly key: string;
  readonly pointer: string;
}

export interface ExpressionChecker {
  /** Checks every `${{ }}` in every string of a JSON value, leaving out the deferred pointers. */
  check(value: Json, deferred?: readonly string[]): ExpressionUse;
}
