import { splice } from '@strata/shared/json/splice.ts';
import { lastMember, type ScannedObject, valueAt } from '../../domain/json-scan.ts';
import { removeMembers } from '../../domain/json-splice.ts';
import type { PathRequest } from '../../domain/protocol.ts';
import { scanBody } from '../read-request.ts';

/** What a host's clients write into the body and Anthropic's own have elsewhere, and what the path says. */
const hostsOwn = new Set(['anthropic_version', 'anthropic_beta', 'model', 'stream']);

/** Whether a body for any of a host's models is one for Claude. */
export function isForClaude(scanned: ScannedObject): boolean {
  return lastMember(scanned, 'anthropic_version') !== undefined;
}

/**
 * A request in the form of a host of Claude as the Messages request that it is: the path's model and stream take the place of the version,
 * every other byte stays. `betas` are what the host's clients say in the body and Anthropic's in the header `anthropic-beta`.
 *
 * @throws GatewayError invalid_request.
 */
export function asMessages(
  body: Buffer,
  { model, isStream }: PathRequest,
  scanned: ScannedObject = scanBody(body),
): { readonly body: Buffer; readonly betas: readonly string[] } {
  const betas = valueAt(body, lastMember(scanned, 'anthropic_beta'));
  const isEmpty = scanned.members.every(({ key }) => hostsOwn.has(key));
  const members = `"model":${JSON.stringify(model)}${isStream ? ',"stream":true' : ''}`;
  const { inside } = scanned;
  return {
    body: splice(body, [
      { start: inside, end: inside, text: `${members}${isEmpty ? '' : ','}` },
      ...removeMembers(body, scanned, hostsOwn),
    ]),
    betas: Array.isArray(betas) ? betas.filter(each => typeof each === 'string') : [],
  };
}
