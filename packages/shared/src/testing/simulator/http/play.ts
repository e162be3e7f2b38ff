import type { ServerResponse } from 'node:http';
import { constants, Http2ServerResponse, type ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../../../clock.ts';
import type { Ending, Fault } from '../faults.ts';
import { ApiError, type Frame, type Reply, type StreamReply, type WholeReply } from './protocol.ts';
import type { Entry, Outcome } from './records.ts';

/** How fast the model seems to be. */
export interface Pace {
  /** Time to the first token. */
  readonly ttftMs: number;
  /** `Infinity`: all at once. */
  readonly tokensPerSecond: number;
}

export interface Stage {
  readonly response: ServerResponse;
  readonly clock: Clock;
  readonly pace: Pace;
  readonly entry: Entry;
  /** Fires when the client is gone, or the simulator closes. */
  readonly gone: AbortSignal;
  /** Called with the last bytes, before the client can have seen them. What never reached the model costs nothing. */
  finish(outcome: Outcome, isBilled?: boolean): void;
  renderError(error: ApiError): WholeReply;
}

/** Events are handed to the socket in writes of about this size, unless the pace sets them apart. */
const writeBytes = 16 * 1024;

/** Sends an answer as its pace and its fault say. Returns once nothing more will be sent. */
export async function play(reply: Reply, stage: Stage, fault: Fault | undefined): Promise<void> {
  const ending = fault?.ending;
  stage.entry.request.fault = fault?.text;
  if (ending?.type === 'before-headers') return breakOff(stage, ending.how);
  if (ending?.type === 'status') return sendWhole(statusReply(ending, stage), stage, 'broken');
  if (ending?.type === 'body') return sendOdd(ending.how, stage);
  const breaksAt = ending?.type === 'after-events' ? ending : undefined;
  if (reply.type === 'whole') {
    if (breaksAt && reply.status === 200) return breakWhole(reply, breaksAt, stage);
    return sendWhole(reply, stage);
  }
  return sendStream(reply, breaksAt, stage);
}

function statusReply(ending: Ending & { type: 'status' }, stage: Stage): WholeReply {
  const message = `The simulator was told to answer with status ${ending.status}.`;
  return stage.renderError(new ApiError(ending.status, message, { retryAfter: ending.retryAfter }));
}

/** Whole answers come when the last token is there. */
function waitForWhole(reply: WholeReply, stage: Stage): Promise<void> | undefined {
  const { tokensPerSecond, ttftMs } = stage.pace;
  if (reply.status !== 200 || !reply.billing) return undefined;
  const waitMs = ttftMs + (reply.billing.usage.outputTokens * 1000) / tokensPerSecond;
  return waitMs > 0 ? stage.clock.sleep(waitMs, stage.gone) : undefined;
}

async function sendWhole(reply: WholeReply, stage: Stage, outcome: Outcome = 'completed'): Promise<void> {
  await waitForWhole(reply, stage);
  const { response, entry } = stage;
  entry.request.status = reply.status;
  if (reply.billing) entry.request.outputTokensSent = reply.billing.usage.outputTokens;
  response.writeHead(reply.status, { ...reply.headers, 'content-length': Buffer.byteLength(reply.body) });
  response.end(reply.body);
  stage.finish(outcome, reply.status === 200);
}

async function breakWhole(
  reply: WholeReply,
  ending: Ending & { type: 'after-events' },
  stage: Stage,
): Promise<void> {
  await waitForWhole(reply, stage);
  if (ending.how === 'error-event')
    return sendWhole(
      stage.renderError(new ApiError(500, 'The simulator was told to fail.')),
      stage,
      'broken',
    );
  const half = reply.body.slice(0, Math.ceil(reply.body.length / 2));
  if (ending.how === 'malformed' || ending.how === 'end')
    return sendWhole({ ...reply, body: half }, stage, 'broken');
  stage.entry.request.status = reply.status;
  stage.response.writeHead(reply.status, {
    ...reply.headers,
    'content-length': Buffer.byteLength(reply.body),
  });
  await write(half, stage);
  return breakOff(stage, ending.how === 'cut' ? 'rst' : ending.how === 'fin' ? 'fin' : 'hang');
}

async function sendOdd(how: 'html' | 'empty', stage: Stage): Promise<void> {
  const body = how === 'html' ? '<!doctype html><title>Sign in</title><p>Sign in to continue.' : '';
  stage.entry.request.status = 200;
  stage.response.writeHead(200, {
    'content-type': how === 'html' ? 'text/html; charset=utf-8' : 'application/json',
    'content-length': body.length,
  });
  stage.response.end(body);
  stage.finish('broken', false);
}

async function sendStream(
  reply: StreamReply,
  ending: (Ending & { type: 'after-events' }) | undefined,
  stage: Stage,
): Promise<void> {
  const { entry, pace, response } = stage;
  entry.request.isStream = true;
  if (pace.ttftMs > 0) await stage.clock.sleep(pace.ttftMs, stage.gone);
  entry.request.status = 200;
  response.writeHead(200, reply.headers);
  const writer = createWriter(stage);
  let events = 0;
  for (const frame of reply.frames) {
    if (events === ending?.events) {
      await writer.flush();
      if (ending.how !== 'malformed') return breakStream(reply, ending.how, stage);
      await write(reply.malformedFrame, stage);
    }
    await writer.add(frame);
    events++;
  }
  await writer.flush();
  response.end();
  stage.finish(ending ? 'broken' : 'completed');
}

async function breakStream(
  reply: StreamReply,
  how: 'cut' | 'fin' | 'end' | 'stall' | 'error-event',
  stage: Stage,
): Promise<void> {
  if (how === 'cut') return breakOff(stage, 'rst');
  if (how === 'fin') return breakOff(stage, 'fin');
  if (how === 'stall') return breakOff(stage, 'hang');
  if (how === 'error-event')
    await write(reply.errorFrame(new ApiError(529, 'The simulator was told to fail.')), stage);
  stage.response.end();
  stage.finish('broken');
}

/** Sends events no sooner than the pace allows, and no faster than the client reads. */
function createWriter(stage: Stage) {
  const { clock, entry, gone, pace } = stage;
  const isPaced = Number.isFinite(pace.tokensPerSecond);
  const startedAtMs = clock.monotonic();
  let waiting: Frame[] = [];
  let waitingBytes = 0;
  let tokens = 0;
  const flush = async () => {
    if (waiting.length === 0) return;
    const frames = waiting;
    waiting = [];
    waitingBytes = 0;
    await write(joined(frames), stage);
    entry.request.eventsSent += frames.length;
    for (const frame of frames) entry.request.outputTokensSent += frame.tokens;
    entry.changed();
  };
  return {
    flush,
    add: async (frame: Frame) => {
      gone.throwIfAborted();
      waiting.push(frame);
      waitingBytes += frame.bytes.length;
      if (isPaced) {
        tokens += frame.tokens;
        const waitMs = startedAtMs + (tokens * 1000) / pace.tokensPerSecond - clock.monotonic();
        if (waitMs > 0) await clock.sleep(waitMs, gone);
        await flush();
      } else if (waitingBytes >= writeBytes) await flush();
    },
  };
}

function joined(frames: readonly Frame[]): string | Uint8Array {
  const [first] = frames;
  if (frames.length === 1 && first) return first.bytes;
  if (frames.every(frame => typeof frame.bytes === 'string'))
    return frames.map(frame => frame.bytes).join('');
  return Buffer.concat(frames.map(frame => Buffer.from(frame.bytes)));
}

/** Resolves when the system took the bytes, or the client is gone. */
function write(bytes: string | Uint8Array, { gone, response }: Stage): Promise<void> | undefined {
  gone.throwIfAborted();
  if (bytes.length === 0) return undefined;
  if (response.write(bytes)) return undefined;
  return new Promise((resolve, reject) => {
    const onDrain = () => {
      gone.removeEventListener('abort', onGone);
      resolve();
    };
    const onGone = () => {
      response.removeListener('drain', onDrain);
      reject(gone.reason);
    };
    response.once('drain', onDrain);
    gone.addEventListener('abort', onGone, { once: true });
  });
}

/** Ends the connection, or leaves it silent until the client goes. What was written before is delivered first. */
async function breakOff(stage: Stage, how: 'rst' | 'fin' | 'hang'): Promise<void> {
  const { gone, response } = stage;
  if (gone.aborted) return;
  if (response.headersSent) {
    // Node sends the head with the first body byte; an answer that breaks before that still has a head.
    response.flushHeaders();
    await new Promise<void>(resolve => response.write('', () => resolve()));
  }
  if (how === 'hang') {
    if (!gone.aborted) await new Promise(resolve => gone.addEventListener('abort', resolve, { once: true }));
    return;
  }
  stage.finish('broken', response.headersSent);
  const stream = streamOf(response);
  if (stream) stream.close(how === 'rst' ? constants.NGHTTP2_INTERNAL_ERROR : constants.NGHTTP2_NO_ERROR);
  else if (how === 'rst') response.socket?.resetAndDestroy();
  else response.socket?.end();
}

/** The stream of an HTTP/2 answer: there it is what breaks, not the connection. */
function streamOf(response: ServerResponse): ServerHttp2Stream | undefined {
  return response instanceof Http2ServerResponse ? response.stream : undefined;
}
