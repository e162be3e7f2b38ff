import { AwsEventReader } from '@strata/shared/http/aws-event-stream.ts';
import { SseReader } from '@strata/shared/http/sse.ts';

interface Written {
  readonly event: string | undefined;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type Ending = 'terminal' | 'error';

/** What a client's own parser would hold against a stream; empty when nothing. One for each ingress. */
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
  gemini: (bytes, ending) =>
    mistakesInChunks(
      read(bytes).map(({ data }) => data),
      ending,
    ),
  'gemini as a JSON array': (bytes, ending) => mistakesInChunks(JSON.parse(bytes.toString()), ending),
  'bedrock-converse': mistakesInFrames,
};

type Data = Readonly<Record<string, unknown>>;

function mistakesInChunks(chunks: readonly Data[], ending: Ending): string[] {
  const found: string[] = [];
  const finishes = chunks.filter(chunk => /"finishReason":/.test(JSON.stringify(chunk))).length;
  const errors = chunks.filter(chunk => chunk.error !== undefined).length;
  const last = chunks.at(-1);
  const candidates = (last?.candidates ?? []) as readonly { finishReason?: string }[];
  if (ending === 'terminal' && (candidates[0]?.finishReason === undefined || finishes !== 1))
    found.push('no proper end');
  if (ending === 'error' && (last?.error === undefined || finishes > 0)) found.push('no error');
  if (errors !== Number(ending === 'error')) found.push(`${errors} errors`);
  return found;
}

function mistakesInFrames(bytes: Buffer, ending: Ending): string[] {
  const found: string[] = [];
  const events = new AwsEventReader().push(bytes);
  const read = events.reduce((sum, event) => sum + event.bytes.length, 0);
  if (read !== bytes.length) found.push('a frame is cut');
  let open: unknown;
  let next = 0;
  for (const { type, payload } of events) {
    const { contentBlockIndex: index } = JSON.parse(payload.toString()) as Data;
    if (type === 'contentBlockStart' || (type === 'contentBlockDelta' && open === undefined)) {
      if (open !== undefined || index !== next++) found.push(`block ${String(index)}`);
      open = index;
    } else if (type === 'contentBlockDelta' && open !== index) {
      found.push(`delta ${String(index)}`);
    } else if (type === 'contentBlockStop') {
      if (open !== index) found.push(`stop ${String(index)}`);
      open = undefined;
    }
  }
  if (open !== undefined) found.push('a block is left open');
  if (events[0]?.type !== 'messageStart') found.push('no beginning');
  const types = events.map(({ type }) => type);
  const last = events.at(-1);
  if (ending === 'terminal' && types.slice(-2).join() !== 'messageStop,metadata') found.push('no proper end');
  if (ending === 'error' && (last?.messageType !== 'exception' || types.includes('messageStop')))
    found.push('no error');
  return found;
}

function read(bytes: Buffer): Written[] {
  return new SseReader().push(bytes).map(({ event, data }) => ({
    event,
    text: data,
    data: data === '[DONE]' ? {} : (JSON.parse(data) as Readonly<Record<string, unknown>>),
  }));
}

/** The bytes without what differs from request to request; of binary frames what they hold. */
export function withoutIds(bytes: Buffer, requestId: string): string {
  const text = bytes[0] === 0 ? framesOf(bytes) : bytes.toString();
  return text
    .replaceAll(requestId, 'REQUEST')
    .replace(/"(msg|fc|rs|ctc)_[0-9a-f]{48}"/g, '"$1_ID"')
    .replace(/"(created|created_at|completed_at)":\d+/g, '"$1":0');
}

function framesOf(bytes: Buffer): string {
  return new AwsEventReader()
    .push(bytes)
    .map(({ type, payload }) => `${type} ${payload.toString()}`)
    .join('\n');
}
