import type { Credentials } from '../authentication/credentials.ts';
import type { HttpCallResult } from '../call-http/http-call.ts';

/** What `call: openapi` asks of its effect. */
export interface OpenapiCall {
  /** Where the document lies. */
  readonly document: string;
  /** For the document. */
  readonly documentCredentials?: Credentials | undefined;
  /** For the service. */
  readonly credentials?: Credentials | undefined;
  readonly operationId: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly acceptsRedirect: boolean;
  readonly wantsRaw: boolean;
  /** Only says how the request would be made. */
  readonly describe?: boolean;
}

/** The request that was made of it, and its answer. */
export interface OpenapiCallResult {
  readonly method: string;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined when it was only described. */
  readonly answer: HttpCallResult | undefined;
}
