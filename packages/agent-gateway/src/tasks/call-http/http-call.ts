import type { Credentials } from '../authentication/credentials.ts';

/** What `call: http` asks of its effect. */
export interface HttpCall {
  readonly method: string;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly credentials?: Credentials | undefined;
  readonly acceptsRedirect: boolean;
  /** The content as base64, whatever it is. */
  readonly wantsRaw: boolean;
}

export interface HttpCallResult {
  readonly status: number;
  /** Whether the status says that the request failed. */
  readonly isProblem: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed when it is JSON, text when it is text, base64 otherwise. */
  readonly content: unknown;
}
