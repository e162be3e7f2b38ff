import type { FailureClass } from './failure.ts';

/** Codes say more than a status: `insufficient_quota` comes as a 429, a wrong model name as a 404. */
const classByCode: Readonly<Record<string, FailureClass>> = {
  insufficient_quota: 'quota',
  billing_hard_limit_reached: 'quota',
  billing_not_active: 'quota',
  billing_error: 'quota',
  quota_exceeded: 'quota',
  context_length_exceeded: 'context-too-long',
  exceed_context_size_error: 'context-too-long',
  request_too_large: 'context-too-long',
  content_policy_violation: 'content-policy',
  content_filter: 'content-policy',
  moderation_blocked: 'content-policy',
  invalid_prompt: 'content-policy',
  responsibleaipolicyviolation: 'content-policy',
  prohibited_content: 'content-policy',
  model_not_found: 'model-gone',
  deploymentnotfound: 'model-gone',
  model_decommissioned: 'model-gone',
  not_found_error: 'model-gone',
  invalid_api_key: 'credential',
  account_deactivated: 'credential',
  authentication_error: 'credential',
  permission_error: 'credential',
  rate_limit_exceeded: 'rate-limited',
  rate_limit_error: 'rate-limited',
  overloaded_error: 'transient',
  server_is_overloaded: 'transient',
  slow_down: 'transient',
  server_error: 'transient',
  api_error: 'transient',
  timeout_error: 'transient',
  internal_error: 'transient',
  // google.rpc.Code, and reasons in its details
  resource_exhausted: 'rate-limited',
  unauthenticated: 'credential',
  permission_denied: 'credential',
  api_key_invalid: 'credential',
  api_key_service_blocked: 'credential',
  billing_disabled: 'quota',
  quota_per_day: 'quota', // read from the id of the quota
  failed_precondition: 'credential', // no billing, or not from where the account is used
  cancelled: 'transient',
  aborted: 'transient',
  unknown: 'transient',
  unavailable: 'transient',
  internal: 'transient',
  deadline_exceeded: 'transient',
  // Bedrock's exceptions
  throttlingexception: 'rate-limited',
  servicequotaexceededexception: 'quota',
  accessdeniedexception: 'credential',
  unrecognizedclientexception: 'credential',
  expiredtokenexception: 'credential',
  expiredtoken: 'credential',
  invalidclienttokenid: 'credential',
  signaturedoesnotmatch: 'credential',
  invalidsignatureexception: 'credential',
  incompletesignatureexception: 'credential',
  missingauthenticationtokenexception: 'credential',
  resourcenotfoundexception: 'model-gone',
  modelnotreadyexception: 'transient',
  modeltimeoutexception: 'transient',
  modelerrorexception: 'transient',
  modelstreamerrorexception: 'transient',
  internalserverexception: 'transient',
  serviceunavailableexception: 'transient',
};

const classByStatus: Readonly<Record<number, FailureClass>> = {
  401: 'credential',
  402: 'quota',
  403: 'credential',
  404: 'model-gone',
  408: 'transient',
  409: 'transient',
  410: 'model-gone',
  413: 'context-too-long',
  421: 'transient',
  424: 'transient',
  425: 'transient',
  429: 'rate-limited',
  498: 'credential',
  499: 'transient',
};

/** Said inside a 200, where no status tells it. */
const faultCodes = /^(invalid|unsupported|image|empty_image|failed_to_download_image)_|^validationexception$/;

/** Some write the status as the code. */
const statusCode = /^[45]\d\d$/;

/**
 * Reads the status and machine-readable codes, never a message. `codes` go from the most specific to the most general. A
 * status of 200 means that the error came inside an answer or a stream.
 */
export function classify(status: number, codes: readonly string[]): FailureClass {
  for (const code of codes) {
    const lower = code.toLowerCase();
    const known = Object.hasOwn(classByCode, lower) ? classByCode[lower] : undefined;
    if (known !== undefined) return known;
  }
  if (status !== 200) return classOfStatus(status);
  const told = codes.find(code => statusCode.test(code));
  if (told !== undefined) return classOfStatus(Number(told));
  return codes.some(code => faultCodes.test(code.toLowerCase())) ? 'caller-fault' : 'transient';
}

function classOfStatus(status: number): FailureClass {
  return classByStatus[status] ?? (status >= 400 && status < 500 ? 'caller-fault' : 'transient');
}

/** What a refusal says that may speak of the key or the model, or of what the request names. More codes than one say which it is. */
const ambiguous: Readonly<Record<number, ReadonlySet<string>>> = {
  403: new Set(['permission_denied', 'accessdeniedexception']),
  404: new Set(['not_found_error', 'not_found', 'invalid_request_error']),
};

/**
 * Where a request names what lies at Google or in AWS, not in its account of the model alone. Only with what stands around it there: a tool
 * may have a parameter of the same name, and a call of it an argument. Each looks through an object up to its first brace once, or behind
 * one object in it.
 */
const elsewhere =
  /"(?:fileData|file_data)"\s*:\s*\{[^{}]*"(?:fileUri|file_uri)"\s*:\s*"|"(?:cachedContent|cached_content)"\s*:\s*"|"source"\s*:\s*\{\s*"s3Location"\s*:\s*\{/;
/** In which it names what lies with the provider, and is nowhere else. */
const stored = new RegExp(
  [
    /"(?:file|input_image_mask)"\s*:\s*\{[^{}]*"file_id"\s*:\s*"/,
    /[{}](?=[^{}]*(?:\{[^{}]*\}[^{}]*)?"type"\s*:\s*"(?:file|input_file|input_image|container_upload)")[^{}]*(?:\{[^{}]*\}[^{}]*)?"file_id"\s*:\s*"/,
    /"vector_store_ids"\s*:\s*\[/,
  ]
    .map(each => each.source)
    .join('|'),
);
const objects = new RegExp(`${elsewhere.source}|${stored.source}`);
/**
 * Of an earlier answer of OpenAI, which it may not have stored: `rs_…` is reasoning. Others use such ids for what they do not keep; `msg_…`
 * and `fc_…` are in so many requests to them that they tell nothing.
 */
const items = /"id"\s*:\s*"(?:rs|ctc|ws|fs|ci|ig|cu|mcp|mcpl|mcpr)_/;

/**
 * The same of the answer to a request whose bytes were `sent`: what it names and may not be read, or is not there, is its own fault, and says
 * nothing of the key or the model, which another caller would miss.
 */
export function classifyAnswer(status: number, codes: readonly string[], sent: Buffer): FailureClass {
  const [code, ...more] = codes;
  const isAmbiguous = more.length === 0 && code !== undefined && ambiguous[status]?.has(code.toLowerCase());
  if (!isAmbiguous) return classify(status, codes);
  if (status === 403 && names(sent, elsewhere)) return 'object-denied';
  if (status === 404 && names(sent, objects)) return 'caller-fault';
  if (code.toLowerCase() === 'invalid_request_error' && names(sent, items)) return 'caller-fault';
  return classify(status, codes);
}

/** Its bytes tell, whatever else is wrong with it: what a refusal means must not depend on how deep a request is. */
function names(sent: Buffer, members: RegExp): boolean {
  if (sent.find(byte => byte > space) !== openBrace) return false; // a form
  const written = withoutBracesInStrings(sent).toString('latin1');
  return members.test(written) || (written.includes('\\u00') && members.test(withPlainLetters(written)));
}

/** What braces are left are those of objects. Not with a pattern: one that steps over escapes runs out of stack in a long string. */
function withoutBracesInStrings(sent: Buffer): Buffer {
  const plain = Buffer.from(sent);
  let isString = false;
  for (let at = 0; at < plain.length; at++) {
    const byte = plain[at];
    if (byte === quote) isString = !isString;
    else if (isString && byte === backslash) at++;
    else if (isString && (byte === openBrace || byte === closeBrace)) plain[at] = space;
  }
  return plain;
}

/** A name may be written with escapes (RFC 8259 section 7). */
function withPlainLetters(written: string): string {
  const escapes = /\\u00(4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9a])/gi;
  return written.replaceAll(escapes, (_escape, code) => String.fromCharCode(Number.parseInt(code, 16)));
}

const space = 0x20;
const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
