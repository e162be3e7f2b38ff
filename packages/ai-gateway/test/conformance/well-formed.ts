import { SseReader } from '@strata/shared/http/sse.ts';

interface Written {
  readonly event: string | undefined;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type Ending = 'terminal' | 'error';

/** What a client's own parser would hold against a stream; empty when nothing. One for each protocol. */
export const mistakesIn: Readonly<Record<string, (bytes: Buffer, ending: Ending) => string[]>> = {
  'openai-chat': (bytes, ending) => {
    const found: string[] = [];
    const events = read(bytes);
    let calls = 0;
    for (const { data } of events) {
      const [choice] = (data.choices ?? []) as readonly {
        delta: { tool_calls?: readonly { index: number; id?: string }[] };
      }[];
      for (const call of choice?.delta.tool_calls ?? []) {
        if (call.id !== undefined && call.index !== calls++)
          found.push(`call ${call.index} begins out of order`);
        if (call.id === undefined && call.index !== calls - 1) found.push(`call ${call.index} interleaved`);
      }
    }
    const finishes = events.filter(({ text }) => /"finish_reason":"/.test(text)).length;
    const last = events.at(-1);
    if (ending === 'terminal' && (last?.text !== '[DONE]' || finishes !== 1)) found.push('no proper end');
    if (ending === 'error' && (last?.data.error === undefined || bytes.includes('[DONE]')))
      found.push('no error');
    return found;
  },
  'openai-responses': (bytes, ending) => {
    const found: string[] = [];
    const events = read(bytes);
    events.forEach(({ event, data }, index) => {
      if (data.sequence_number !== index || event !== data.type) found.push(`event ${index} is out of order`);
    });
    let open: unknown;
    let next = 0;
    for (const { data } of events) {
      if (data.type === 'response.output_item.added') {
        if (open !== undefined || data.output_index !== next) found.push(`item ${String(data.output_index)}`);
        open = data.output_index;
      } else if (data.type === 'response.output_item.done') {
        if (open !== data.output_index) found.push(`item ${String(data.output_index)} done`);
        open = undefined;
        next++;
      }
    }
    if (open !== undefined) found.push('an item is left open');
    if (events[0]?.data.type !== 'response.created') found.push('no beginning');
    const wanted =
      ending === 'terminal' ? /^response\.(completed|incomplete)$/ : /^(response\.failed|error)$/;
    if (!wanted.test(String(events.at(-1)?.data.type))) found.push('no proper end');
    return found;
  },
  'anthropic-messages': (bytes, ending) => {
    const found: string[] = [];
    const events = read(bytes);
    let open: unknown;
    let next = 0;
    for (const { event, data } of events) {
      if (event !== data.type) found.push(`event ${event}`);
      if (data.type === 'content_block_start') {
        if (open !== undefined || data.index !== next++) found.push(`block ${String(data.index)}`);
        open = data.index;
      } else if (data.type === 'content_block_delta' && open !== data.index) {
        found.push(`delta ${String(data.index)}`);
      } else if (data.type === 'content_block_stop') {
        if (open !== data.index) found.push(`stop ${String(data.index)}`);
        open = undefined;
      }
    }
    if (open !== undefined) found.push('a block is left open');
    if (events[0]?.data.type !== 'message_start') found.push('no beginning');
    const last = ending === 'terminal' ? 'message_stop' : 'error';
    if (events.at(-1)?.data.type !== last) found.push('no proper end');
    return found;
  },
};

function read(bytes: Buffer): Written[] {
  return new SseReader().push(bytes).map(({ event, data }) => ({
    event,
    text: data,
    data: data === '[DONE]' ? {} : (JSON.parse(data) as Readonly<Record<string, unknown>>),
  }));
}

/** The bytes without what differs from request to request. */
export function withoutIds(bytes: Buffer, requestId: string): string {
  return bytes
    .toString()
    .replaceAll(requestId, 'REQUEST')
    .replace(/"(msg|fc|rs|ctc)_[0-9a-f]{48}"/g, '"$1_ID"')
    .replace(/"(created|created_at|completed_at)":\d+/g, '"$1":0');
}
