import { splice } from '@strata/shared/json/splice.ts';
import { parseFrame } from '../wire/frame.ts';
import { answerScanLimits } from '../wire/json-scanner.ts';
import { renderErrorObject } from '../wire/render.ts';

/** What the requests of one call that asked get, each under its own id. */

export function isAnswer(raw: string): boolean {
  return raw.startsWith('{');
}

/** An answer under another id. */
export function withId(body: Buffer, rawId: Buffer): Buffer {
  const frame = parseFrame(body, answerScanLimits);
  return frame.kind === 'response' ? splice(body, [{ ...frame.id, text: rawId }]) : body;
}

export function invalidAnswer(rawId: Buffer, key: string): Buffer {
  const message = `\`inputResponses.${key.slice(0, 100)}\` must be the result of what was asked.`;
  return renderErrorObject(
    rawId,
    JSON.stringify({ code: -32602, message, data: { reason: 'invalid_params' } }),
  );
}

export function superseded(rawId: Buffer): Buffer {
  const data = { reason: 'superseded', retryable: false };
  return renderErrorObject(
    rawId,
    JSON.stringify({ code: -32000, message: 'The same call was gone on with by a later request.', data }),
  );
}
