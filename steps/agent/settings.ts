/**
 * The settings of the engine for language models.
 */
export interface AgentSettings {
  /** EXECUTION_ENGINE_LLM_URL; null: none. */
  readonly url: string | null;
  /** EXECUTION_ENGINE_LLM_KEY; null: none. */
  readonly key: string | null;
}
