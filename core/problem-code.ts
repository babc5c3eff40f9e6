/**
 * The closed lists of codes that entries of `errors` and `warnings` have; docs/errors.md has each of them.
 */

/** Codes for a definition, when it is published, validated or read again. */
export const DEFINITION_PROBLEMS = [
  'not_an_object',
  'invalid_name',
  'invalid_key',
  'no_steps',
  'too_many_steps',
  'scope_too_deep',
  'unknown_field',
  'missing_field',
  'invalid_type',
  'invalid_value',
  'invalid_duration',
  'no_heartbeats',
  'invalid_schema',
  'too_deep',
  'not_storable',
  'number_not_exact',
  'unknown_step_type',
  'invalid_params',
  'unknown_need',
  'self_need',
  'cycle',
  'unknown_route',
  'route_not_allowed',
  'unused_route',
  'inputs_grow',
  'contradicting_durations',
  'literal_expression',
  'unreachable_step',
  'impossible_join',
  'invalid_join',
  'join_on_root',
  'when_not_expression',
  'expression_syntax',
  'not_configured',
  'secret_missing',
  'variable_missing',
  'unknown_reference',
  'unknown_step_reference',
  'not_upstream',
  'too_many_problems',
  'too_much_work',
  'step_not_stored',
] as const;

/** Codes for any other request. */
export const REQUEST_PROBLEMS = [
  'required',
  'repeated',
  'unknown_field',
  'wrong_type',
  'wrong_format',
  'too_small',
  'too_big',
  'not_allowed',
  'exactly_one',
  'invalid',
  'invalid_value',
  'invalid_cursor',
  'invalid_inputs',
  'template_not_found',
  'not_storable',
  'too_deep',
  'number_not_exact',
  'too_much_work',
] as const;

export type RequestProblem = (typeof REQUEST_PROBLEMS)[number];
export type ProblemCode = (typeof DEFINITION_PROBLEMS)[number] | RequestProblem;
