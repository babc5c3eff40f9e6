/**
 * Finds the template of a child execution, as the workspace of its parent sees it, and checks the inputs and the depth.
 */
import type { ChildStart } from '../../core/event.ts';
import { EngineError } from '../../core/problem.ts';
import { readPlaceInTree } from '../../db/children/tree.ts';
import type { Db } from '../../db/connection/client.ts';
import { newId } from '../../db/uuid.ts';
import type { JsonPayload } from '../../payload/json-payload.ts';
import { type ChildToStart, StepFailure } from '../../steps/step-type.ts';
import { TemplateFinder } from '../../template/finder.ts';
import type { InputChecker } from '../../template/input-checker.ts';
import type { TemplateVersion } from '../../template/version.ts';
import type { TemplateVersions } from '../../template/versions.ts';

export interface ChildTemplatesOptions {
  readonly db: Db;
  readonly versions: Pick<TemplateVersions, 'get'>;
  readonly inputs: InputChecker;
  /** Most executions above a child. */
  readonly maxDepth: number;
}

export class ChildTemplates {
  readonly #options: ChildTemplatesOptions;
  readonly #finder: TemplateFinder;

  constructor(options: ChildTemplatesOptions) {
    this.#options = options;
    this.#finder = new TemplateFinder(options.db);
  }

  /** @throws StepFailure when there is no such child to start */
  async prepare(executionId: string, child: ChildToStart, inputs: JsonPayload): Promise<ChildStart> {
    const { workspaceId, depth } = await readPlaceInTree(this.#options.db, executionId);
    this.#refuseTooDeep(depth + 1);
    const version = await this.#version(workspaceId, child);
    await this.#checkInputs(version, inputs);
    return { id: newId(), templateId: version.id, requestedVersion: child.version, inputs };
  }

  #refuseTooDeep(depth: number): void {
    const { maxDepth } = this.#options;
    if (depth <= maxDepth) return;
    throw new StepFailure(
      'child_too_deep',
      `The child would be ${depth} executions below its root; EXECUTION_ENGINE_MAX_CHILD_DEPTH allows ${maxDepth}.`,
      { details: { depth, limit: maxDepth } },
    );
  }

  async #version(workspaceId: string | null, { name, version }: ChildToStart): Promise<TemplateVersion> {
    const found = await this.#finder.byName(workspaceId, name, version);
    if (found !== null && !found.isArchived) return this.#read(found.id);
    const what = `"${name}"${version === null ? '' : ` with version ${version}`}`;
    throw new StepFailure(
      'template_not_found',
      found === null
        ? `No template ${what} is published in the workspace of this execution.`
        : `The template ${what} is archived; publish it again to start it.`,
    );
  }

  async #read(id: string): Promise<TemplateVersion> {
    const { db, versions } = this.#options;
    try {
      return await versions.get(db, id);
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'unavailable') throw error;
      throw new StepFailure(error.code, error.message, { cause: error });
    }
  }

  async #checkInputs(version: TemplateVersion, inputs: JsonPayload): Promise<void> {
    const faults = await this.#options.inputs.check(version, inputs);
    const [first] = faults;
    if (first === undefined) return;
    throw new StepFailure(
      'invalid_inputs',
      `The inputs of the child do not match the input schema of ${version.name}: inputs${first.pointer}: ${first.message}`,
      { details: faults.map(({ pointer, message }) => ({ pointer: `/inputs${pointer}`, message })) },
    );
  }
}
