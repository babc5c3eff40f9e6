/**
 * Answers about templates, in the field names of the API.
 */

import type { JsonObject } from '../core/json/json.ts';

export interface PublishResult {
  workflow_template_id: string;
  name: string;
  version: number;
  steps: { id: string; key: string }[];
  warnings: ProblemBody[];
}

export interface ProblemBody {
  pointer: string;
  code: string;
  message: string;
}

export interface ValidateResult {
  valid: boolean;
  errors: ProblemBody[];
  warnings: ProblemBody[];
}

export interface TemplateSummary {
  workflow_template_id: string;
  name: string;
  version: number;
  description: string | null;
  created_at: string;
}

export interface TemplateBody extends TemplateSummary {
  definition: JsonObject;
  steps: { id: string; key: string; type: string }[];
  archived_at: string | null;
}
