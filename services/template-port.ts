/**
 * The template service as the API's routes see it.
 */
import type { DefinitionSource } from '../definition/source.ts';
import type { Caller } from './caller.ts';
import type { Page } from './page.ts';
import type { PublishResult, TemplateBody, TemplateSummary, ValidateResult } from './template-answers.ts';

export interface TemplateServicePort {
  /** Publishes a definition. `created` is false when it equals the latest version. */
  publish(caller: Caller, source: DefinitionSource): Promise<{ created: boolean; result: PublishResult }>;
  validate(caller: Caller, source: DefinitionSource): Promise<ValidateResult>;
  get(caller: Caller, name: string, version?: number): Promise<TemplateBody>;
  list(
    caller: Caller,
    page: { limit?: number | undefined; cursor?: string | undefined },
  ): Promise<Page<TemplateSummary>>;
  /** Archives every version: running executions continue, a start answers 404. */
  archive(caller: Caller, name: string): Promise<void>;
}
