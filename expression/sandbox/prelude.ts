/**
 * The JavaScript that runs inside QuickJS before any code of a definition.
 *
 * It takes and gives texts only, so no object of the sandbox is ever handled outside of it. It keeps its own references
 * to the globals it needs: a definition that changes globals can only change its own result.
 *
 * A result is `=` and JSON (`[value]`, or `[]` for undefined), with a `*` before it when a value is specially
 * written (sandbox-wire.ts), or `!` and the JSON of an error, or '' while a script is waiting.
 */
import { CUT_MARK } from '../../core/text/cut.ts';
import { REFUSE_LOCALES } from './locales.ts';

/** The prelude for code: it refuses locales only where the code can name them, since that costs as much as a small expression. */
export function preludeFor(code: string): string {
  return MAY_NAME_LOCALES.test(code) ? WITH_LOCALES : PLAIN;
}

/** A name may be written with escapes. */
const MAY_NAME_LOCALES = /ocale|\\[ux]/;

const prelude = (more: string): string => `(function () {
  'use strict';
  const CUT_MARK = ${JSON.stringify(CUT_MARK)};
  const { stringify, parse } = JSON;
  const text = String;
  const Thunk = Function;
  const AsyncThunk = Object.getPrototypeOf(async function () {}).constructor;
  const { InternalError, TypeError, Promise } = globalThis;
  const apply = Reflect.apply;
  const { slice } = String.prototype;
  const { exec } = RegExp.prototype;
  const { then } = Promise.prototype;
${more}
  let special = false;

  const { Proxy, TypeError: MissingError } = globalThis;
  const { hasOwn, prototype: plain } = Object;
  let missing = null;
  // An unknown name fails the whole expression, even if its code catches the error.
  const strict = (root, members) =>
    new Proxy(members, {
      get(target, key) {
        if (typeof key === 'symbol' || key === 'toJSON' || hasOwn(target, key) || key in plain) return target[key];
        missing ??= [root, key];
        throw new MissingError(root + ' has no ' + key);
      },
    });

  const replacer = (key, value) => {
    if (typeof value === 'number') {
      if (value - value === 0) return value;
      special = true;
      return '\\0' + value;
    }
    if (typeof value === 'string') {
      if (value[0] !== '\\0') return value;
      special = true;
      return '\\0' + value;
    }
    if (typeof value === 'bigint') throw new TypeError('a BigInt is not JSON; convert it with Number() or String()');
    return value;
  };

  const success = (value) => {
    if (value instanceof Promise) throw new TypeError('a promise is not a value; an expression cannot wait for it');
    special = false;
    const json = stringify(value, replacer);
    return (special ? '*' : '') + (json === undefined ? '=[]' : '=[' + json + ']');
  };

  // As in core/text/cut.ts, a text that is cut ends with a mark.
  const cut = (whole, max) =>
    whole.length <= max ? whole : apply(slice, whole, [0, max - CUT_MARK.length]) + CUT_MARK;

  const lineOf = (error) => {
    const found = apply(exec, /<input>:(\\d+)/, [text(error.stack)]);
    return found === null ? null : +found[1];
  };

  const failure = (error) => {
    const failed = { name: null, message: '', line: null, internal: false, missing };
    try {
      if (typeof error === 'object' && error !== null && 'message' in error) {
        failed.internal = error instanceof InternalError;
        failed.name = cut(text(error.name), 100);
        failed.message = cut(text(error.message), 2000);
        failed.line = lineOf(error);
      } else failed.message = cut(typeof error === 'object' ? stringify(error) : text(error), 2000);
    } catch {}
    return '!' + stringify(failed);
  };

  const roots = ['input', 'steps', 'inputs', 'execution', 'item', 'index', 'iteration', 'previous', 'secrets', 'vars'];
  const evaluate = (sourceText, scopeText) => {
    try {
      const scope = parse(scopeText);
      const thunk = new Thunk(...roots, '"use strict"; return (\\n' + parse(sourceText) + '\\n)');
      const { input, steps = {}, inputs = {}, execution = {}, item, index, iteration, previous } = scope;
      const secrets = strict('secrets', scope.secrets ?? {});
      const vars = strict('vars', scope.vars ?? {});
      const found = success(
        thunk(input, steps, inputs, execution, item, index, iteration, previous, secrets, vars),
      );
      return missing === null ? found : failure(null);
    } catch (error) {
      return failure(error);
    }
  };

  let outcome = '';
  const settle = (finish) => (value) => {
    try {
      outcome = finish(value);
    } catch (error) {
      outcome = failure(error);
    }
  };
  const start = (codeText, inputText, log) => {
    const print = (level) => (...values) => {
      let line = '';
      for (let i = 0; i < values.length && line.length < 10000; i++) {
        const value = values[i];
        const shown = typeof value === 'string' ? value : (stringify(value) ?? text(value));
        line += (i > 0 ? ' ' : '') + shown;
      }
      log(level, stringify(cut(line, 10000)));
    };
    globalThis.console = {
      log: print('info'), info: print('info'), warn: print('warn'), error: print('error'), debug: print('debug'),
    };
    try {
      const script = new AsyncThunk('input', parse(codeText));
      apply(then, script(parse(inputText)), [settle(success), settle(failure)]);
    } catch (error) {
      outcome = failure(error);
    }
    return outcome;
  };
  return { evaluate, start, outcome: () => outcome };
})()`;

const PLAIN = prelude('');
const WITH_LOCALES = prelude(REFUSE_LOCALES);
