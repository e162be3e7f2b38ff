/** What has to be so for a change to be made: there is one, or that very revision of one, or none. */
export type Expected =
  | { readonly type: 'any' }
  | { readonly type: 'present' }
  | { readonly type: 'absent' }
  | { readonly type: 'revision'; readonly revision: number };

/** Whether what is there, if anything, is what was expected. */
export function isExpected(expected: Expected, revision: number | undefined): boolean {
  switch (expected.type) {
    case 'any':
      return true;
    case 'absent':
      return revision === undefined;
    case 'present':
      return revision !== undefined;
    case 'revision':
      return expected.revision === revision;
  }
}
