/**
 * A page of a list.
 */
/** A page of any list; the cursor is opaque and null on the last page. */
export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}
