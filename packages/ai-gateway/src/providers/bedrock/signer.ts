import { createHash, createHmac } from 'node:crypto';
import { fromNodeProviderChain } from '@aws-sdk/credential-providers';
import { SignatureV4 } from '@smithy/signature-v4';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { joinPath } from '@strata/shared/http/origin.ts';
import type { Secret } from '@strata/shared/secret.ts';
import type { Credential } from '../../domain/provider.ts';

export interface SignerOptions {
  readonly region: string;
  /** Undefined: AWS's own chain of places to look. */
  readonly accessKey:
    | {
        readonly access_key_id: string;
        readonly secret_access_key: Secret;
        readonly session_token?: Secret | undefined;
      }
    | undefined;
  readonly profile: string | undefined;
}

/** Signs requests with Signature Version 4. The chain's credentials are kept and fetched again before they expire. */
export function createSigner({ region, accessKey, profile }: SignerOptions): Credential['authorize'] {
  const signer = new SignatureV4({
    service: 'bedrock',
    region,
    sha256: Sha256,
    credentials:
      accessKey === undefined ? fromNodeProviderChain({ ...(profile && { profile }) }) : fixed(accessKey),
  });
  return async ({ method, origin, path, headers, body }) => {
    const url = new URL(joinPath(origin.url, path), origin.url);
    try {
      const signed = await signer.sign({
        method,
        protocol: url.protocol,
        hostname: url.hostname,
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        headers: { host: url.host, 'content-type': headers['content-type'] ?? 'application/json' },
        body,
      });
      const { host: _host, ...rest } = signed.headers; // the connection sets it
      return rest;
    } catch (cause) {
      throw new GatewayError('upstream_failed', 'No AWS credentials could be found to sign with.', {
        reason: 'upstream_credential_unavailable',
        cause,
      });
    }
  };
}

function fixed(accessKey: NonNullable<SignerOptions['accessKey']>) {
  return {
    accessKeyId: accessKey.access_key_id,
    secretAccessKey: accessKey.secret_access_key.reveal(),
    ...(accessKey.session_token && { sessionToken: accessKey.session_token.reveal() }),
  };
}

/** Node's SHA-256 in the form the signer wants. */
class Sha256 {
  readonly #hash;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }

  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    throw new Error('The signer makes a new hash each time');
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Uint8Array | string {
  if (typeof data === 'string') return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
