import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { ownerOf } from '../domain/owner.ts';
import type { ProviderObjectStore } from '../domain/provider-object.ts';

const memberPattern =
  /"(?:file_id|input_file_id|file_ids)"\s*:\s*(?:"([^"\\]{1,256})"|\[([^\]]{0,65536})\])/g;
const idPattern = /"([^"\\]{1,256})"/g;
const maxIds = 1000;
const fileId = Buffer.from('"file_id');
const inputFileId = Buffer.from('"input_file_id');

/**
 * Refuses a request that names a file of somebody else: the provider would read it, because to the provider all files of the account are one
 * customer's. A file that the gateway has never seen is the operator's own and passes.
 */
export async function refuseForeignFiles(
  store: ProviderObjectStore,
  body: Buffer,
  caller: Caller,
): Promise<void> {
  const [foreign] = await store.foreign(ownerOf(caller), 'file', idsIn(body));
  if (foreign === undefined) return;
  throw new GatewayError('not_found', `There is no file '${foreign.slice(0, 200)}' for this key.`, {
    reason: 'provider_object_not_found',
    param: 'file_id',
  });
}

/** Whether a request may hold one. Most do not. */
export function namesFiles(body: Buffer): boolean {
  return body.includes(fileId) || body.includes(inputFileId);
}

function idsIn(body: Buffer): string[] {
  const ids = new Set<string>();
  for (const [, one, many] of body.toString('utf8').matchAll(memberPattern)) {
    const found =
      one !== undefined ? [one] : [...(many ?? '').matchAll(idPattern)].map(match => match[1] ?? '');
    for (const id of found) ids.add(id);
  }
  return [...ids].slice(0, maxIds);
}
