import { isUtf8 } from 'node:buffer';
import { isObject, type JsonObject } from '../../domain/capabilities.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
  /** What was asked, without the operator's credential. */
  readonly url: string;
}

/** An API's answer as the result of a tool. What is no success is the tool's error, which the model can read. */
export function renderResponse(answer: ApiAnswer): JsonObject {
  const { status, contentType, body } = answer;
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const isError = status < 200 || status >= 300;
  const content = body.length === 0 && isError ? [] : [contentOf(type, answer)];
  const structured = isError ? undefined : structuredOf(type, body);
  return {
    content: isError ? [{ type: 'text', text: `HTTP ${status}` }, ...content] : content,
    ...(structured && { structuredContent: structured }),
    ...(isError && { isError: true }),
  };
}

function contentOf(type: string, { body, contentType, url }: ApiAnswer): JsonObject {
  const [kind] = type.split('/');
  if (kind === 'image' || kind === 'audio')
    return { type: kind, data: body.toString('base64'), mimeType: type };
  const text = textOf(body, contentType);
  if (text !== undefined) return { type: 'text', text };
  const mimeType = type === '' ? 'application/octet-stream' : type;
  return { type: 'resource', resource: { uri: url, mimeType, blob: body.toString('base64') } };
}

function textOf(body: Buffer, contentType: string): string | undefined {
  if (isUtf8(body)) return body.toString();
  const charset = /;\s*charset="?([\w.:-]+)/i.exec(contentType)?.[1];
  if (charset === undefined) return undefined;
  try {
    return new TextDecoder(charset, { fatal: true }).decode(body);
  } catch {
    return undefined; // an unknown charset, or not in it
  }
}

function structuredOf(type: string, body: Buffer): JsonObject | undefined {
  if (!/^application\/(?:.+\+)?json$/.test(type)) return undefined;
  try {
    const parsed: unknown = JSON.parse(body.toString());
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined; // the text is shown as it came
  }
}
