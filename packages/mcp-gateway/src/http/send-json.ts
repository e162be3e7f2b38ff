import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { sendBytes } from '@strata/shared/http/send-whole.ts';

const json = 'application/json; charset=utf-8';

/** Answers with one message, or a batch of them. */
export function sendJson(
  { response, replyHeaders }: DirectRequest,
  status: number,
  body: Buffer,
  headers?: Readonly<Record<string, string>>,
): void {
  sendBytes(response, status, { headers: { ...replyHeaders, ...headers, 'content-type': json }, body });
}

/** Answers without a body. */
export function sendEmpty({ response, replyHeaders }: DirectRequest, status: 202 | 204): void {
  response.writeHead(status, status === 204 ? replyHeaders : { ...replyHeaders, 'content-length': '0' });
  response.end();
}
