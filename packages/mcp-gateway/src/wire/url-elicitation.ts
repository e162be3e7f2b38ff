import { isObject } from '../domain/capabilities.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import { errorCodeOf, parseFrame, rawText } from './frame.ts';

/**
 * Pages that a person has to open before a call can be done. With sessions the call fails with -32042 and is made again by its client
 * (2025-11-25, "URL Mode Elicitation"); without, the pages are questions in an `input_required` result.
 */
const urlRequired = -32042;
const maxUrls = 100;

/** A server's -32042 as questions. `undefined` when the answer is none. */
export function asInputRequired(frame: ResponseFrame): ResponseFrame | undefined {
  if (errorCodeOf(frame) !== urlRequired) return undefined;
  const data = frame.error?.members?.get('data');
  const value: unknown = data && JSON.parse(rawText(frame.bytes, data));
  const pages =
    isObject(value) && Array.isArray(value.elicitations) ? value.elicitations.filter(isObject) : [];
  const questions = pages.slice(0, maxUrls).flatMap(({ url, message }, index) => {
    const params = { mode: 'url', url, message: typeof message === 'string' ? message : '' };
    return typeof url === 'string' ? [[`u${index + 1}`, { method: 'elicitation/create', params }]] : [];
  });
  if (questions.length === 0) return undefined;
  const result = { resultType: 'input_required', inputRequests: Object.fromEntries(questions) };
  return frameOf(frame, `"result":${JSON.stringify(result)}`);
}

/** Questions of which each is a page, as -32042. `undefined` when one of them is something else. `idOf` makes up the ids that this revision wants. */
export function asUrlRequired(
  frame: ResponseFrame,
  requests: readonly { readonly request: string }[],
  idOf: () => string,
): ResponseFrame | undefined {
  const pages = requests.map(({ request }) => pageOf(JSON.parse(request)));
  if (pages.length === 0 || pages.some(page => page === undefined)) return undefined;
  const elicitations = pages.map(page => ({ mode: 'url', elicitationId: idOf(), ...page }));
  const message = 'Open the page first, then make the call again.';
  return frameOf(frame, `"error":${JSON.stringify({ code: urlRequired, message, data: { elicitations } })}`);
}

function pageOf(request: unknown): { url: string; message: string } | undefined {
  if (!isObject(request) || request.method !== 'elicitation/create' || !isObject(request.params))
    return undefined;
  const { mode, url, message } = request.params;
  if (mode !== 'url' || typeof url !== 'string') return undefined;
  return { url, message: typeof message === 'string' ? message : '' };
}

function frameOf({ bytes, id }: ResponseFrame, member: string): ResponseFrame {
  const made = parseFrame(Buffer.from(`{"jsonrpc":"2.0","id":${rawText(bytes, id)},${member}}`));
  if (made.kind !== 'response') throw new TypeError('an answer that was just made is one');
  return made;
}
