export interface JqJob {
  readonly program: string;
  /** One JSON value. */
  readonly input: string;
  readonly maxOutputBytes: number;
}

export type JqAnswer =
  /** One JSON value a line. */
  | { readonly type: 'output'; readonly output: string }
  | { readonly type: 'invalid' | 'failed'; readonly message: string }
  | { readonly type: 'too-large' | 'crashed' };
