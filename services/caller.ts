/**
 * The caller of a service.
 */
/** An admin sees every workspace; a null workspace is a workspace of its own. */
export interface Caller {
  readonly workspaceId: string | null;
  readonly admin: boolean;
  /** Of its key; left out: as an operator. */
  readonly role?: string;
  /** The name of its key, or the subject of its token; left out: it has none. */
  readonly name?: string;
}

/** Returns whether the caller may see the URLs of webhook steps: whoever has one may use it. */
export function seesHooks({ admin, role }: Caller): boolean {
  return admin || role !== 'viewer';
}
