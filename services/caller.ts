/**
 * The caller of a service.
 */
/** An admin sees every workspace; a null workspace is a workspace of its own. */
export interface Caller {
  readonly workspaceId: string | null;
  readonly admin: boolean;
}
