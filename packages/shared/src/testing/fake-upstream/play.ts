import type { Socket } from 'node:net';
import { setImmediate as nextTick } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import { formatSse } from '../../http/sse.ts';
import type { Meter } from './meter.ts';
import type { HeaderPairs, Step } from './plan.ts';

export interface Stage {
  readonly socket: Socket;
  readonly clock: Clock;
  /** Absent while a connection is played to before any request. */
  readonly meter: Meter | undefined;
  /** Fires when the client leaves or the upstream closes. */
  readonly signal: AbortSignal;
}

/** How the connection stands after a plan. */
export type PlayEnd = 'completed' | 'fin' | 'rst';

/** Larger writes go out in pieces of this size, so that the meter follows what the system takes. */
const pieceBytes = 64 * 1024;

/** Plays `steps` on the connection. Rejects with the signal's reason when it fires, or with the socket's error. */
export async function play(steps: readonly Step[], stage: Stage): Promise<PlayEnd> {
  const { clock, signal, socket } = stage;
  const response = createResponse(stage);
  const startedAtMs = clock.monotonic();
  for (const step of steps) {
    signal.throwIfAborted();
    if (step.at !== undefined) {
      const waitMs = startedAtMs + step.at - clock.monotonic();
      if (waitMs > 0) await clock.sleep(waitMs, signal);
    }
    switch (step.op) {
      case 'status':
        response.status(step.status, step.reason);
        break;
      case 'headers':
        await response.head(step.headers);
        break;
      case 'write':
        await response.body(Buffer.from(step.bytes));
        break;
      case 'event': {
        const event = typeof step.event === 'string' ? { data: step.event } : step.event;
        await response.body(Buffer.from(formatSse(event)), { isEvent: true });
        break;
      }
      case 'drip':
        await drip(step, response, stage);
        break;
      case 'repeat':
        await repeat(step, response, stage);
        break;
      case 'raw':
        await response.raw(Buffer.from(step.bytes));
        break;
      case 'stall':
        if (step.ms === undefined) await unlessAborted(new Promise(() => {}), signal);
        else await clock.sleep(step.ms, signal);
        break;
      case 'waitFor':
        await unlessAborted(step.until, signal);
        break;
      case 'stopReading':
        socket.pause();
        break;
      case 'resumeReading':
        socket.resume();
        break;
      case 'end':
        return response.end(step.trailers);
      case 'fin':
        socket.end();
        return 'fin';
      case 'rst':
        socket.resetAndDestroy();
        return 'rst';
    }
  }
  return response.end();
}

type StepOf<Op extends Step['op']> = Extract<Step, { readonly op: Op }>;
type Response = ReturnType<typeof createResponse>;

async function drip(step: StepOf<'drip'>, response: Response, stage: Stage): Promise<void> {
  const bytes = Buffer.from(step.bytes);
  const sliceBytes = step.sliceBytes ?? 1;
  for (let start = 0; start < bytes.length; start += sliceBytes) {
    if (start > 0) await pause(step.everyMs, stage);
    await response.body(bytes.subarray(start, start + sliceBytes));
  }
}

async function repeat(step: StepOf<'repeat'>, response: Response, stage: Stage): Promise<void> {
  const bytes = Buffer.from(step.bytes);
  for (let time = 0; time < (step.times ?? Number.POSITIVE_INFINITY); time++) {
    if (time > 0) await pause(step.everyMs, stage);
    await response.body(bytes);
  }
}

function createResponse({ socket, meter, signal }: Stage) {
  let statusLine = 'HTTP/1.1 200 OK';
  let framing: 'chunked' | 'plain' | 'until-close' | undefined;
  let isRaw = false;

  const send = async (bytes: Buffer, counts: { body?: Buffer; isEvent?: boolean } = {}): Promise<void> => {
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      const piece = bytes.subarray(start, start + pieceBytes);
      signal.throwIfAborted();
      await written(socket, piece, signal);
      // Framing surrounds the body, so the body is counted with the last piece of what carries it.
      const isLast = start + pieceBytes >= bytes.length;
      meter?.sent({ wireBytes: piece.length, ...(isLast ? counts : {}) });
    }
  };

  const head = async (headers: HeaderPairs): Promise<void> => {
    const pairs: (readonly [string, string])[] = isPairs(headers) ? [...headers] : Object.entries(headers);
    const has = (name: string) => pairs.some(([header]) => header.toLowerCase() === name);
    const closes = pairs.some(([name, value]) => name.toLowerCase() === 'connection' && value === 'close');
    const hasNoBody = meter?.method === 'HEAD' || /^HTTP\/1\.1 (1..|204|304)/.test(statusLine);
    if (has('content-length') || hasNoBody) framing = 'plain';
    else if (has('transfer-encoding')) framing = 'chunked';
    else if (closes) framing = 'until-close';
    else {
      framing = 'chunked';
      pairs.push(['transfer-encoding', 'chunked']);
    }
    const lines = pairs.map(([name, value]) => `${name}: ${value}\r\n`);
    await send(Buffer.from(`${statusLine}\r\n${lines.join('')}\r\n`, 'latin1'));
  };

  return {
    status: (status: number, reason = '') => {
      statusLine = `HTTP/1.1 ${status} ${reason}`;
    },
    head,
    body: async (bytes: Buffer, { isEvent = false } = {}): Promise<void> => {
      if (framing === undefined && !isRaw) await head({});
      if (bytes.length === 0) return;
      if (framing !== 'chunked') {
        for (let start = 0; start < bytes.length; start += pieceBytes) {
          const piece = bytes.subarray(start, start + pieceBytes);
          await send(piece, { body: piece, isEvent: isEvent && start + pieceBytes >= bytes.length });
        }
        return;
      }
      const size = Buffer.from(`${bytes.length.toString(16)}\r\n`);
      await send(Buffer.concat([size, bytes, Buffer.from('\r\n')]), { body: bytes, isEvent });
    },
    raw: async (bytes: Buffer): Promise<void> => {
      isRaw = true;
      await send(bytes);
    },
    end: async (trailers: Readonly<Record<string, string>> = {}): Promise<PlayEnd> => {
      if (isRaw && framing === undefined) return 'completed';
      if (framing === undefined) await head({ 'content-length': '0' });
      if (framing === 'chunked') {
        const lines = Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`);
        await send(Buffer.from(`0\r\n${lines.join('')}\r\n`, 'latin1'));
      }
      if (framing !== 'until-close') return 'completed';
      socket.end();
      return 'fin';
    },
  };
}

/** Resolves when the system took the bytes, so a reader that does not read holds the plan back. */
function written(socket: Socket, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const taken = new Promise<void>((resolve, reject) => {
    socket.write(bytes, error => {
      if (error) reject(error);
      else resolve();
    });
  });
  return unlessAborted(taken, signal);
}

function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

async function pause(everyMs: number | undefined, { clock, signal }: Stage): Promise<void> {
  if (everyMs) await clock.sleep(everyMs, signal);
  else await nextTick(undefined, { signal });
}

function isPairs(headers: HeaderPairs): headers is readonly (readonly [string, string])[] {
  return Array.isArray(headers);
}
