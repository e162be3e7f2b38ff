import type { Source } from '../domain/neutral-request.ts';

const dataUrl = /^data:([^;,]*)((?:;[^;,]*)*),/i;

/** `data:` URLs become data, everything else stays a URL. */
export function sourceOfUrl(url: string, mediaType?: string): Source {
  const match = dataUrl.exec(url.slice(0, 256));
  if (match === null) return { type: 'url', url, mediaType };
  const type = match[1] || mediaType || 'application/octet-stream';
  const rest = url.slice(match[0].length);
  if (/;base64$/i.test(match[2] ?? '')) return { type: 'data', mediaType: type, data: rest };
  return { type: 'data', mediaType: type, data: Buffer.from(decodeURIComponent(rest)).toString('base64') };
}

const audioFormats: Readonly<Record<string, string>> = { mpeg: 'mp3', 'x-wav': 'wav', wave: 'wav' };

/** A sound's format in OpenAI's words. */
export function audioFormat(mediaType: string): string {
  const [, subtype = ''] = mediaType.toLowerCase().split(';', 1)[0]?.split('/') ?? [];
  return (Object.hasOwn(audioFormats, subtype) ? audioFormats[subtype] : undefined) ?? subtype;
}

/** As OpenAI takes it. Undefined for what no URL can say. */
export function urlOfSource(source: Source): string | undefined {
  if (source.type === 'url') return source.url;
  return source.type === 'data' ? `data:${source.mediaType};base64,${source.data}` : undefined;
}

/** Text of a document that is text; undefined for every other. */
export function textOfSource(source: Source): string | undefined {
  if (source.type === 'text') return source.text;
  if (source.type !== 'data' || !source.mediaType.startsWith('text/')) return undefined;
  return Buffer.from(source.data, 'base64').toString('utf8');
}
