/**
 * Answers of any size, made of pieces of JSON: a large one is encoded a piece at a time, as its reader takes it.
 */
import type { Context } from 'hono';
import { JSON_MEDIA_TYPE } from './body.ts';
import type { ApiEnv } from './context.ts';

/** Characters that are encoded at once. */
const MAX_CHUNK = 1_024 * 1_024;
const HEADERS = { 'Content-Type': JSON_MEDIA_TYPE };

export function answerPieces(c: Context<ApiEnv>, pieces: readonly string[]): Response {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return length <= MAX_CHUNK ? c.body(pieces.join(''), 200, HEADERS) : c.body(streamOf(pieces), 200, HEADERS);
}

function streamOf(pieces: readonly string[]): ReadableStream<Uint8Array> {
  const chunks = chunksOf(pieces);
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull(controller) {
      const { done, value } = chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
  });
}

/** Joins short pieces, and cuts long ones between two characters. */
function* chunksOf(pieces: readonly string[]): Generator<string, void> {
  let chunk: string[] = [];
  let length = 0;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; ) {
      const to = endOfPart(piece, from + MAX_CHUNK - length);
      chunk.push(piece.slice(from, to));
      length += to - from;
      from = to;
      if (length < MAX_CHUNK) continue;
      yield chunk.join('');
      chunk = [];
      length = 0;
    }
  }
  if (length > 0) yield chunk.join('');
}

/** Returns a place at or after `at` that is not inside a character of two units. */
function endOfPart(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const unit = text.charCodeAt(at - 1);
  return unit >= 0xd800 && unit <= 0xdbff ? at + 1 : at;
}
