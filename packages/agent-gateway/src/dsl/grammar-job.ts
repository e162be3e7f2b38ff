/** A document to be held against the grammar, and where it is known to be wrong. */
export interface GrammarJob {
  readonly document: unknown;
  readonly known: readonly string[];
}

export interface Complaint {
  readonly pointer: string;
  readonly message: string;
}
