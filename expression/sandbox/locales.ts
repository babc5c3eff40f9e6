/**
 * JavaScript for the sandbox that makes methods refuse locales and their options, instead of ignoring them: QuickJS has
 * no Intl, and a date in the wrong time zone looks right. Without arguments the methods are QuickJS's own.
 */
interface Refusal {
  /** An expression for the object that has the methods. */
  readonly holder: string;
  readonly methods: readonly string[];
  /** Arguments before the locale. */
  readonly before: number;
  /** The replacement to write. */
  readonly instead: string;
}

const REFUSALS: readonly Refusal[] = [
  {
    holder: 'Date.prototype',
    methods: ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString'],
    before: 0,
    instead: 'toISOString(), or getUTCFullYear() and the other UTC methods',
  },
  {
    holder: 'Number.prototype',
    methods: ['toLocaleString'],
    before: 0,
    instead: 'toFixed(), toPrecision() or String()',
  },
  { holder: 'BigInt.prototype', methods: ['toLocaleString'], before: 0, instead: 'toString()' },
  { holder: 'Array.prototype', methods: ['toLocaleString'], before: 0, instead: 'map() and join()' },
  {
    holder: 'Object.getPrototypeOf(Int8Array.prototype)',
    methods: ['toLocaleString'],
    before: 0,
    instead: 'map() and join()',
  },
  {
    holder: 'String.prototype',
    methods: ['toLocaleLowerCase', 'toLocaleUpperCase'],
    before: 0,
    instead: 'toLowerCase() or toUpperCase()',
  },
  {
    holder: 'String.prototype',
    methods: ['localeCompare'],
    before: 1,
    instead: 'localeCompare() with one argument, which compares code points, or < and >',
  },
];

/** Statements; they need `apply` and `TypeError`. */
export const REFUSE_LOCALES = `
  for (const { holder, methods, before, instead } of [${REFUSALS.map(shown).join(', ')}]) {
    for (const method of methods) {
      const own = holder[method];
      const { [method]: value } = {
        [method](...given) {
          for (let at = before; at < given.length; at++) {
            if (given[at] === undefined) continue;
            throw new TypeError(method + ' takes no locale and no options here: there is no Intl; use ' + instead);
          }
          return apply(own, this, given);
        },
      };
      Object.defineProperty(holder, method, { value, writable: true, enumerable: false, configurable: true });
    }
  }`;

function shown({ holder, methods, before, instead }: Refusal): string {
  return `{ holder: ${holder}, methods: ${JSON.stringify(methods)}, before: ${before}, instead: ${JSON.stringify(instead)} }`;
}
