import type { Clock } from '@strata/shared/clock.ts';
import type { Dialer, DialResponse } from '@strata/shared/http/dialer.ts';
import { formatTraceparent } from '@strata/shared/http/trace-context.ts';
import type { Call } from '../domain/call.ts';
import { classify } from '../domain/classify.ts';
import { Losses } from '../domain/losses.ts';
import type { NeutralRequest } from '../domain/neutral-request.ts';
import type { Protocol } from '../domain/protocol.ts';
import { refusalError } from '../domain/refusal-error.ts';
import type { Target } from '../domain/route.ts';
import type { TokenCount } from '../domain/token-count.ts';
import { parseObject, readErrorMessage } from '../protocols/read-json.ts';
import type { Protocols } from './choose-way.ts';
import { estimateTokens } from './estimate-tokens.ts';
import { type Proof, prove } from './prove.ts';

export interface CountTokensDeps {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly protocols: Protocols;
}

const maxAnswerBytes = 1024 * 1024;
const timeoutMs = 30_000;

interface Counter {
  readonly protocol: Protocol;
  readonly path: string;
  readonly isBare: boolean;
}

/**
 * Counts the tokens of a prompt: the first target's provider does where it can, else it is an estimate. Counting is never worth a
 * second try; a prompt that the provider refuses is refused in its words.
 */
export function createCountTokens(deps: CountTokensDeps): (call: Call) => Promise<TokenCount> {
  return async call => {
    const request = decode(call);
    const [target] = call.targets;
    const counter = target && counterOf(target, call, deps.protocols);
    if (target !== undefined && counter !== undefined) {
      const inputTokens = await ask(deps, { call, target, counter, request });
      if (inputTokens !== undefined) return { inputTokens, isEstimated: false };
    }
    return { inputTokens: await estimateTokens(request), isEstimated: true };
  };
}

function decode({ protocol, request }: Call): NeutralRequest {
  if (protocol.codec === undefined) throw new Error(`${protocol.name} has no codec`); // such a protocol has no endpoint for it
  return protocol.codec.decodeRequest(parseObject(request.body) ?? {}, {
    model: request.model,
    isStream: false,
  });
}

/** The client's own protocol where the provider counts in it, else any. */
function counterOf(target: Target, call: Call, protocols: Protocols): Counter | undefined {
  const { speaks } = target.provider;
  for (const name of [call.protocol.name, ...speaks.keys()]) {
    const access = speaks.get(name);
    const protocol = protocols.get(name);
    if (access?.countPath === undefined || protocol?.counting === undefined) continue;
    return { protocol, path: access.countPath(target.model), isBare: access.countsBare === true };
  }
  return undefined;
}

interface Question {
  readonly call: Call;
  readonly target: Target;
  readonly counter: Counter;
  readonly request: NeutralRequest;
}

/** Undefined when the provider cannot say. @throws GatewayError when it refuses the prompt itself. */
async function ask(deps: CountTokensDeps, question: Question): Promise<number | undefined> {
  const { call, target, counter } = question;
  const { protocol } = counter;
  let dialed: { response: DialResponse; proof: Proof };
  let body: Buffer;
  try {
    dialed = await dial(deps.dialer, question);
    body = await dialed.response.readAll(maxAnswerBytes);
  } catch (error) {
    if (call.signal.aborted) throw error;
    return undefined; // a provider that is away costs the exact count only
  }
  const { status, headers } = dialed.response;
  if (status === 200) return protocol.counting?.read(parseObject(body) ?? {});
  const failureClass = classify(status, protocol.readErrorCodes(body, headers));
  if (failureClass !== 'caller-fault') return undefined;
  const said = readErrorMessage(dialed.proof.withheld.inBytes(body));
  throw refusalError(failureClass, {
    provider: target.provider.name,
    status,
    retryAfterMs: undefined,
    said,
  });
}

async function dial(dialer: Dialer, question: Question): Promise<{ response: DialResponse; proof: Proof }> {
  const { call, target, counter } = question;
  const { origin, credentials, headers: fixed } = target.provider;
  const headers = {
    ...fixed,
    'content-type': 'application/json',
    'accept-encoding': 'identity',
    traceparent: formatTraceparent(call.trace),
  };
  const body = Buffer.from(bodyOf(question));
  const asked = { method: 'POST', path: counter.path, body, signal: call.signal } as const;
  const proof = await prove(credentials[0], { ...asked, origin, headers });
  const response = await dialer.request(origin, {
    ...asked,
    headers: { ...headers, ...proof.headers },
    timeouts: { headersMs: timeoutMs, bodyMs: timeoutMs },
  });
  return { response, proof };
}

function bodyOf({ target, counter, request }: Question): string {
  const { codec, counting } = counter.protocol;
  const origin = { provider: target.provider.name, model: target.model };
  const whole = codec?.encodeRequest(request, { ...origin, mayAskStreamUsage: false }, new Losses()) ?? {};
  const kept = Object.fromEntries(Object.entries(whole).filter(([name]) => counting?.members.has(name)));
  return JSON.stringify((counter.isBare ? undefined : counting?.wrap?.(kept, target.model)) ?? kept);
}
