export interface ScanLimits {
  readonly maxDepth: number;
  /** Objects' members and arrays' elements together. */
  readonly maxNodes: number;
}

export type ScanProblem = 'syntax' | 'not-an-object' | 'too-deep' | 'too-many-values' | 'ambiguous-key';

export class JsonScanError extends Error {
  override readonly name = 'JsonScanError';
  readonly problem: ScanProblem;
  /** Offset of the byte at which the scan stopped. */
  readonly at: number;

  constructor(problem: ScanProblem, at: number, message: string) {
    super(message);
    this.problem = problem;
    this.at = at;
  }
}
