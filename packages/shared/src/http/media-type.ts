import type { IncomingHttpHeaders } from 'node:http';
import { GatewayError } from '../errors/gateway-error.ts';

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const mediaTypePattern = new RegExp(
  `^(${token}/${token})(?:[ \\t]*;[ \\t]*(?:${token}=(?:${token}|"[^"\\\\\\r\\n]*"))?)*$`,
);

/** What a route takes that names nothing else. */
export const jsonOnly = ['application/json'];

/**
 * The media type of a request, exactly as RFC 9110 section 8.3.1 writes it, or undefined when it has no body. Two parsers that
 * disagree about `application/json\ta` let a body pass unchecked (C31), so anything irregular is refused.
 *
 * @throws GatewayError unsupported_media_type.
 */
export function requireMediaType(headers: IncomingHttpHeaders, allowed: readonly string[]): void {
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
  if (!hasBody) return;
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    throw new GatewayError(
      'unsupported_media_type',
      'Compressed request bodies are not supported. Send the body as it is.',
      {
        reason: 'content_encoding_unsupported',
        param: 'content-encoding',
      },
    );
  }
  const written = headers['content-type'];
  if (written !== undefined && allowed.includes(written)) return;
  const match = written === undefined ? null : mediaTypePattern.exec(written);
  const type = match?.[1]?.toLowerCase();
  if (type !== undefined && allowed.includes(type)) return;
  const expected = allowed.map(each => `'${each}'`).join(' or ');
  throw new GatewayError(
    'unsupported_media_type',
    `The content type must be ${expected}; found ${written === undefined ? 'none' : `'${written}'`}.`,
    {
      reason: 'media_type_unsupported',
      param: 'content-type',
    },
  );
}
