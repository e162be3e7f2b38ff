import { type Withheld, withholdCredentials } from '@strata/shared/http/withhold-credentials.ts';
import type { Credential, CredentialHeaders, OutgoingRequest } from '../domain/provider.ts';

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
