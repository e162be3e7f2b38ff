import { type Withheld, withholdCredentials } from '@strata/shared/http/withhold-credentials.ts';
import type { AnswerHeaders } from '../domain/protocol.ts';
import type { Credential, CredentialHeaders, OutgoingRequest } from '../domain/provider.ts';
import { isJson } from '../protocols/read-json.ts';

/** What proves to a provider who asks, and what takes it out of an answer: some tell which key they were shown (S20). */
export interface Proof {
  readonly headers: CredentialHeaders;
  /** For a refusal or an error, whatever of it reaches a caller. */
  readonly withheld: Withheld;
  /** For a good answer, which may hold by chance the word that stands in for the key of a server without keys. */
  readonly withheldInAnswers: Withheld;
}

/** The one way to get a credential's headers. @throws GatewayError upstream_failed when none can be had. */
export function prove(credential: Credential, request: OutgoingRequest): Proof | Promise<Proof> {
  const headers = credential.authorize(request);
  return headers instanceof Promise
    ? headers.then(told => new LazyProof(credential, told))
    : new LazyProof(credential, headers);
}

/** In JSON a number is no key, and what was JSON stays it. What only calls itself so is looked through as it is. */
export function withheldInWhole(
  { withheldInAnswers }: Proof,
  answer: Buffer,
  { 'content-type': type = '' }: AnswerHeaders,
): Buffer {
  const shown = withheldInAnswers.inBytes(answer);
  if (shown === answer || !jsonType.test(String(type)) || !isJson(answer)) return shown;
  return withheldInAnswers.inJson(answer);
}

/** RFC 6839 section 3.1. */
const jsonType = /^application\/(?:[^;\s]+\+)?json\s*(?:;|$)/i;

/** Keys of vendors are longer. */
const shortestKey = 16;

/** Most answers hold nothing that has to be looked through. */
class LazyProof implements Proof {
  readonly headers: CredentialHeaders;
  readonly #credential: Credential;

  constructor(credential: Credential, headers: CredentialHeaders) {
    this.#credential = credential;
    this.headers = headers;
  }

  get withheld(): Withheld {
    return withholdCredentials(this.#secrets());
  }

  get withheldInAnswers(): Withheld {
    return withholdCredentials(this.#secrets(), { shortest: shortestKey });
  }

  #secrets(): string[] {
    const { plainHeaders } = this.#credential;
    const secret = Object.entries(this.headers).filter(([name]) => plainHeaders?.has(name) !== true);
    return secret.map(([, value]) => value);
  }
}
