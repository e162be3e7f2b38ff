export interface OpenapiOperation {
  /** `operationId`, else made of method and path. */
  readonly id: string;
  readonly method: string;
  /** With `{name}` for what goes into it. */
  readonly path: string;
  readonly summary: string | undefined;
  readonly description: string | undefined;
  readonly parameters: readonly OpenapiParameter[];
  readonly body: OpenapiBody | undefined;
  /** Its own, else those of its path; they override those of the service when they are not empty. */
  readonly servers: readonly string[];
  /** Parts whose schema is too large to be shown whole: parameters by name, or `body`. What was cut allows everything. */
  readonly shortened: readonly string[];
}

export interface OpenapiParameter {
  readonly name: string;
  /** What the argument is called: the name, or `query_name` where another parameter has that. */
  readonly argument: string;
  readonly in: 'path' | 'query' | 'header' | 'cookie';
  readonly required: boolean;
  readonly description: string | undefined;
  readonly schema: unknown;
  /** Arrays and objects as one text or as several (OpenAPI 3.1, "Style Values"). */
  readonly explode: boolean;
  readonly style: string;
  /** Its value is a text in JSON ("Parameter Object", `content`). */
  readonly isJson: boolean;
}

export interface OpenapiBody {
  readonly mediaType: string;
  readonly required: boolean;
  readonly schema: unknown;
  /** How members of a form are written, of which something is said ("Encoding Object"). */
  readonly encoding: Readonly<Record<string, { readonly style?: string; readonly explode?: boolean }>>;
}

/** `application/json` and everything with the suffix of RFC 6839. */
export function isJson(mediaType: string): boolean {
  return /^[^;]*[/+]json\s*(;|$)/i.test(mediaType);
}
