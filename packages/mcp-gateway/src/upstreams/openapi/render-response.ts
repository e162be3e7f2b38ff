import { isUtf8 } from 'node:buffer';
import { isObject, type JsonObject } from '../../domain/capabilities.ts';

/** An API's answer as the result of a tool. What is no success is the tool's error, which the model can read. */
export function renderResponse(status: number, contentType: string, body: Buffer): JsonObject {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const isError = status < 200 || status >= 300;
  const content = [contentOf(type, body)];
  const structured = isError ? undefined : structuredOf(type, body);
  return {
    content: isError ? [{ type: 'text', text: `HTTP ${status}` }, ...content] : content,
    ...(structured && { structuredContent: structured }),
    ...(isError && { isError: true }),
  };
}

function contentOf(type: string, body: Buffer): JsonObject {
  const [kind] = type.split('/');
  if (kind === 'image' || kind === 'audio')
    return { type: kind, data: body.toString('base64'), mimeType: type };
  if (isUtf8(body)) return { type: 'text', text: body.toString() };
  return { type: 'text', text: `${body.length} bytes of ${type || 'an unknown type'}` };
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
