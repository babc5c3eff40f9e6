/**
 * The object that an answer is: its text read as JSON, and held against the schema.
 *
 * Invariant: text and schema come from outside, and are read in bounded time.
 */
import { shownNumber } from '../../core/json/exact-number.ts';
import type { Json, JsonSchema } from '../../core/json/json.ts';
import { surveyJson } from '../../core/json/json-survey.ts';
import { parseJsonInPieces } from '../../core/json/parse-in-pieces.ts';
import { cutText } from '../../core/text/cut.ts';
import { inSlices } from '../../process/in-slices.ts';
import { invalidAnswer } from './invalid-answer.ts';

interface Fault {
  readonly pointer: string;
  readonly message: string;
}

/** The part of a schema checker that answers need. */
export interface AnswerSchemas {
  /** Returns the faults of a value, if that takes some milliseconds at most; null: it would take longer. */
  validateBriefly(schema: JsonSchema, value: unknown): readonly Fault[] | null;
}

export interface AnswerSchema {
  readonly schema: JsonSchema;
  readonly schemas: AnswerSchemas;
}

/** Compiling a schema of this size takes some 50 ms. */
export const MAX_SCHEMA_LENGTH = 32_768;
const MAX_SHOWN_FAULTS = 10;
const MAX_SHOWN_LENGTH = 4_096;

/** @throws StepFailure `invalid_answer` */
export async function objectOf(text: string, { schema, schemas }: AnswerSchema): Promise<Json> {
  const answer = cutText(text, MAX_SHOWN_LENGTH);
  const value = await parsed(text);
  if (typeof value === 'string') throw invalidAnswer(value, { answer });
  const faults = schemas.validateBriefly(schema, value.json);
  if (faults === null)
    throw invalidAnswer('the answer takes too long to check against the schema', { answer });
  if (faults.length === 0) return value.json;
  const [first] = faults;
  const problems = faults.slice(0, MAX_SHOWN_FAULTS).map(({ pointer, message }) => ({ pointer, message }));
  throw invalidAnswer(`the answer does not fit the schema: ${first!.pointer} ${first!.message}`, {
    problems,
    answer,
  });
}

/** Returns what the text is, or why it is none. */
async function parsed(text: string): Promise<{ readonly json: Json } | string> {
  let inexact: string | null = null;
  const survey = (piece: string) => {
    const [start, end] = surveyJson(piece, Number.POSITIVE_INFINITY).inexact;
    if (start !== undefined) inexact ??= piece.slice(start, end);
  };
  try {
    const json = await inSlices(parseJsonInPieces(text, survey));
    if (inexact === null) return { json };
    return `the answer has the number ${shownNumber(inexact)}, which would not keep its value`;
  } catch {
    return 'the answer is not JSON';
  }
}

/** Returns the faults of a call's arguments, as sentences for the model. */
export function argumentFaults(
  input: Json,
  parameters: JsonSchema,
  schemas: AnswerSchemas,
): readonly string[] {
  const faults = schemas.validateBriefly(parameters, input);
  if (faults === null) return ['They take too long to check.'];
  return faults.slice(0, MAX_SHOWN_FAULTS).map(({ pointer, message }) => `${pointer} ${message}`.trim());
}
