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
  video: {
    mp4: 'video/mp4',
    mov: 'video/quicktime',
    webm: 'video/webm',
    mkv: 'video/x-matroska',
    mpeg: 'video/mpeg',
    wmv: 'video/x-ms-wmv',
    flv: 'video/x-flv',
    three_gp: 'video/3gpp',
  },
  audio: {
    mp3: 'audio/mpeg',
    wav: 'audio/wav',
    ogg: 'audio/ogg',
    flac: 'audio/flac',
    aac: 'audio/aac',
    opus: 'audio/opus',
    m4a: 'audio/mp4',
    webm: 'audio/webm',
  },
};

/** As many clients write them. */
const otherNames: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'audio/mp3': 'audio/mpeg',
  'audio/x-wav': 'audio/wav',
  'audio/wave': 'audio/wav',
  'audio/x-m4a': 'audio/mp4',
};

export function mediaTypeOf(kind: MediaPart['type'], format: string): string {
  const known = formats[kind];
  return (Object.hasOwn(known, format) ? known[format] : undefined) ?? `${kind}/${format}`;
}

/** Undefined for what Converse has no format for. */
export function formatOf(kind: MediaPart['type'], mediaType: string): string | undefined {
  const [type] = mediaType.toLowerCase().split(';', 1);
  const known = Object.hasOwn(otherNames, type ?? '') ? otherNames[type ?? ''] : type;
  return Object.entries(formats[kind]).find(([, each]) => each === known)?.[0];
}
