import type { MediaPart } from '../../domain/neutral-request.ts';

/** Converse's `format` ↔ media type. */
const formats: Readonly<Record<MediaPart['type'], Readonly<Record<string, string>>>> = {
  image: { png: 'image/png', jpeg: 'image/jpeg', gif: 'image/gif', webp: 'image/webp' },
  document: {
    pdf: 'application/pdf',
    csv: 'text/csv',
    doc: 'application/msword',
    docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    xls: 'application/vnd.ms-excel',
    xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    html: 'text/html',
    txt: 'text/plain',
    md: 'text/markdown',
  },
  video: { mp4: 'video/mp4', mov: 'video/quicktime', webm: 'video/webm', mkv: 'video/x-matroska' },
  audio: { mp3: 'audio/mpeg', wav: 'audio/wav', ogg: 'audio/ogg', flac: 'audio/flac', aac: 'audio/aac' },
};

export function mediaTypeOf(kind: MediaPart['type'], format: string): string {
  const known = formats[kind];
  return (Object.hasOwn(known, format) ? known[format] : undefined) ?? `${kind}/${format}`;
}

/** Undefined for what Converse has no format for. */
export function formatOf(kind: MediaPart['type'], mediaType: string): string | undefined {
  const [type] = mediaType.toLowerCase().split(';', 1);
  if (type === 'image/jpg') return 'jpeg';
  return Object.entries(formats[kind]).find(([, each]) => each === type)?.[0];
}
