/**
 * The values that a scope gives to names: `item` and `index` of a foreach, `iteration` and `previous` of a loop.
 *
 * Items are stored in pieces of many, and scopes that are open together mostly have neighbouring indexes: the pieces that
 * were read last stay in memory.
 */
import type { Json } from '../core/json/json.ts';
import { next } from '../core/next.ts';
import type { ScopeName } from '../core/template.ts';
import type { ScopeRef } from '../core/view.ts';
import type { Db } from '../db/connection/client.ts';
import { readItems } from '../db/scopes/items.ts';
import { readResults } from '../db/scopes/results.ts';
import { JsonPayload } from './json-payload.ts';

/** Pieces in memory: of some 100 items or 64 KiB each. */
const MAX_PIECES = 64;

interface Piece {
  readonly holderId: string;
  readonly firstIndex: number;
  readonly items: readonly Json[];
}

export class ScopeValues {
  readonly #db: Db;
  /** The piece that was used last comes last. */
  #pieces: Piece[] = [];
  /** Pieces on their way, by holder and index. */
  readonly #reading = new Map<string, Promise<Piece>>();

  constructor(db: Db) {
    this.#db = db;
  }

  /** Returns the value of a name; at once when it is in memory. */
  read(name: ScopeName, scope: ScopeRef): Json | Promise<Json> {
    if (name === 'item')
      return next(this.#piece(scope), ({ firstIndex, items }) => items[scope.index - firstIndex]!);
    return name === 'previous' ? this.#previous(scope) : scope.index;
  }

  #piece({ holderId, index }: ScopeRef): Piece | Promise<Piece> {
    const at = this.#pieces.findIndex((piece) => piece.holderId === holderId && has(piece, index));
    if (at < 0) return this.#readPiece(holderId, index);
    const [piece] = this.#pieces.splice(at, 1);
    this.#pieces.push(piece!);
    return piece!;
  }

  #readPiece(holderId: string, index: number): Promise<Piece> {
    const key = `${holderId}[${index}]`;
    let reading = this.#reading.get(key);
    if (reading === undefined) {
      reading = this.#load(holderId, index).finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return reading;
  }

  async #load(holderId: string, index: number): Promise<Piece> {
    const row = await readItems(this.#db, holderId, index);
    if (row === null) throw new Error(`The items of step ${holderId} are gone.`);
    const payload = new JsonPayload(row.items);
    await payload.parse();
    const piece = { holderId, firstIndex: row.firstIndex, items: payload.value as Json[] };
    this.#pieces = this.#pieces.filter((other) => other.holderId !== holderId || !has(other, index));
    this.#pieces.push(piece);
    if (this.#pieces.length > MAX_PIECES) this.#pieces.shift();
    return piece;
  }

  /** The result of the scope before; null for the first one. */
  async #previous({ holderId, index }: ScopeRef): Promise<Json> {
    if (index === 0) return null;
    const [before] = await readResults(this.#db, holderId, index - 1, 1);
    if (before?.outputs == null) return null;
    const payload = new JsonPayload(before.outputs);
    await payload.parse();
    return payload.value;
  }
}

function has({ firstIndex, items }: Piece, index: number): boolean {
  return firstIndex <= index && index < firstIndex + items.length;
}
