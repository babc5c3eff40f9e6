/**
 * The documents and the doors they are sent through: each document follows from the seed and its number alone.
 */
import { type Chance, chance } from '../chance.ts';
import { hostileDefinition } from './definitions.ts';
import { WIDE } from './templates.ts';
import { garbled, hostileJson } from './values.ts';

export const DOORS = ['publish', 'validate', 'start', 'start-many', 'other', 'sql', 'cli'] as const;
export type Door = (typeof DOORS)[number];

export interface HostileRequest {
  readonly number: number;
  readonly door: Door;
  readonly path: string;
  readonly mediaType: string;
  readonly body: Uint8Array;
}

const KIB = 1_024;
const PATHS: Readonly<Record<Door, string>> = {
  publish: '/api/v1/templates',
  validate: '/api/v1/templates/validate',
  start: '/api/v1/execution/start',
  'start-many': '/api/v1/execution/start-many',
  other: '/api/v1/execution/stop',
  sql: '',
  cli: '',
};

export function hostileRequest(seed: number, number: number, templates: readonly string[]): HostileRequest {
  const draw = chance(seed, 'document', number);
  const door = doorOf(draw);
  const made = (text: string, mediaType = 'application/json') => ({
    number,
    door,
    path: PATHS[door],
    mediaType,
    body: draw.happens(0.01) ? Buffer.from(text, 'latin1') : Buffer.from(text),
  });
  if (door === 'publish' || door === 'validate' || door === 'cli') {
    const { text, mediaType } = hostileDefinition(draw, sizeOf(draw, 1_024 * KIB));
    return made(text, mediaType);
  }
  if (door === 'start-many') return made(startMany(draw, templates));
  const size = sizeOf(draw, 9 * 1_024 * KIB);
  if (door === 'sql') return made(hostileJson(draw, size));
  return made(draw.happens(0.1) ? garbled(draw, start(draw, size, templates)) : start(draw, size, templates));
}

function doorOf(draw: Chance): Door {
  const at = draw.below(200);
  if (at < 1) return 'cli';
  if (at < 60) return 'publish';
  if (at < 110) return 'validate';
  if (at < 165) return 'start';
  if (at < 180) return 'start-many';
  return at < 185 ? 'other' : 'sql';
}

/** Mostly small, which must not cost more than their size; some of any size up to the limit, and beyond. */
function sizeOf(draw: Chance, most: number): number {
  const kind = draw.below(100);
  if (kind < 80) return 16 + draw.below(3 * KIB);
  if (kind < 96) return 16 + draw.below(32 * KIB);
  return 16 + draw.below(kind < 99 ? Math.min(most, 512 * KIB) : most * 1.1);
}

function start(draw: Chance, size: number, templates: readonly string[]): string {
  const template = JSON.stringify(draw.happens(0.01) ? WIDE : draw.pick(templates));
  const kind = draw.below(10);
  if (kind < 7) return `{"template":${template},"inputs":${hostileJson(draw, size)}}`;
  if (kind < 8) return `{"template":${template},"tags":${hostileJson(draw, size)}}`;
  if (kind < 9) return `{"template":${template},${hostileJson(draw, size).slice(1, -1)}}`;
  return hostileJson(draw, size);
}

function startMany(draw: Chance, templates: readonly string[]): string {
  const count = 1 + draw.below(draw.happens(0.1) ? 3_000 : 40);
  const size = sizeOf(draw, 1_024 * KIB) / count;
  const items = Array.from({ length: count }, () => start(draw, Math.min(size, 64 * KIB), templates));
  return `{"items":[${items.join()}]}`;
}
