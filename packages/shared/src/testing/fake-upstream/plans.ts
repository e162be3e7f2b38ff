import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { OutgoingSseEvent } from '../../http/sse.ts';
import type { Plan, Step } from './plan.ts';

/** A complete JSON answer with its length. */
export function jsonPlan(
  value: unknown,
  options: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): Plan {
  const body = Buffer.from(JSON.stringify(value));
  return [
    { op: 'status', status: options.status ?? 200 },
    {
      op: 'headers',
      headers: {
        'content-type': 'application/json',
        'content-length': String(body.length),
        ...options.headers,
      },
    },
    { op: 'write', bytes: body },
  ];
}

/** The head of an event stream. */
export const eventStreamHead: Step = {
  op: 'headers',
  headers: { 'content-type': 'text/event-stream; charset=utf-8' },
};

/** A complete event stream, `everyMs` between events; `ending` may hold what comes after them instead of a proper end. */
export function ssePlan(
  events: readonly (string | OutgoingSseEvent)[],
  options: { readonly everyMs?: number; readonly ending?: readonly Step[] } = {},
): Plan {
  const steps: Step[] = [eventStreamHead];
  events.forEach((event, index) => {
    if (options.everyMs && index > 0) steps.push({ op: 'stall', ms: options.everyMs });
    steps.push({ op: 'event', event });
  });
  return [...steps, ...(options.ending ?? [])];
}

/** An event stream of these exact bytes that breaks after `afterBytes` of them [F26] [F27]. */
export function cutStreamPlan(
  body: string | Uint8Array,
  options: { readonly afterBytes: number; readonly how: 'rst' | 'fin' },
): Plan {
  const bytes = Buffer.from(body).subarray(0, options.afterBytes);
  return [
    eventStreamHead,
    ...(bytes.length > 0 ? [{ op: 'write', bytes } as const] : []),
    { op: options.how },
  ];
}

/** An event stream of these exact bytes, `sliceBytes` at a time, each a segment of its own [F28]. */
export function slicedStreamPlan(body: string | Uint8Array, sliceBytes = 1): Plan {
  return [eventStreamHead, { op: 'drip', bytes: body, sliceBytes }];
}

/** Exactly these bytes on the wire, then FIN [F24] [F34]. */
export function rawPlan(bytes: string | Uint8Array): Plan {
  return [{ op: 'raw', bytes }, { op: 'fin' }];
}

/** A body that is shorter or longer than its length says [F34]. */
export function wrongLengthPlan(body: string, claimedBytes: number): Plan {
  return rawPlan(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${claimedBytes}\r\n\r\n${body}`,
  );
}

/** A chunked body whose every chunk carries an extension, and a trailer [F34]. */
export function chunkExtensionPlan(chunks: readonly string[], extension = 'ieof;x="y"'): Plan {
  const framed = chunks.map(chunk => `${Buffer.byteLength(chunk).toString(16)};${extension}\r\n${chunk}\r\n`);
  return [
    {
      op: 'raw',
      bytes: `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${framed.join('')}0;${extension}\r\nx-trailer: 1\r\n\r\n`,
    },
    { op: 'fin' },
  ];
}

/** An answer that claims to be encoded `layers` times over [F33]. */
export function stackedEncodingsPlan(layers: number): Plan {
  return [
    {
      op: 'headers',
      headers: [
        ['content-type', 'application/json'],
        ...Array.from({ length: layers }, () => ['content-encoding', 'gzip'] as const),
      ],
    },
    { op: 'write', bytes: gzipSync('{}') },
  ];
}

/** A small answer that decodes to `decodedBytes` zeros, whatever the client said it accepts [F32]. */
export function compressionBombPlan(decodedBytes: number, encoding: 'gzip' | 'br' = 'gzip'): Plan {
  const zeros = Buffer.alloc(decodedBytes);
  const bytes =
    encoding === 'gzip'
      ? gzipSync(zeros, { level: 9 })
      : brotliCompressSync(zeros, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
  return [
    {
      op: 'headers',
      headers: {
        'content-type': 'application/json',
        'content-encoding': encoding,
        'content-length': String(bytes.length),
      },
    },
    { op: 'write', bytes },
  ];
}
