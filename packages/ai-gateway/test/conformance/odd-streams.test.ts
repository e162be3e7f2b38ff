import { randomInt } from 'node:crypto';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { describe, expect, test } from 'vitest';
import type { Codec } from '../../src/domain/codec.ts';
import { foldAnswer } from '../../src/domain/fold-answer.ts';
import type { JsonObject } from '../../src/domain/json-object.ts';
import type { FinishReason, NeutralAnswer } from '../../src/domain/neutral-event.ts';
import type { NeutralRequest } from '../../src/domain/neutral-request.ts';
import { orderEvents } from '../../src/pipeline/neutral-answers.ts';
import { TranslatedPassage } from '../../src/pipeline/translated-passage.ts';
import { protocols } from '../../src/protocols/registry.ts';
import type { Sight } from './odd-streams/odd-stream.ts';
import { oddStreams } from './odd-streams/odd-streams.ts';
import { type Ingress, ingresses } from './requests.ts';
import { mistakesIn } from './well-formed.ts';

/** Odd streams of every upstream into every client's protocol, at every split, and read back from there. */

const origin = { provider: 'p', model: 'm' };
const unchanged = { adapt: (event: Parameters<TranslatedPassage['translate']>[0][number]) => [event] };

function codecOf(protocol: string): Codec {
  const codec = protocols.get(protocol)?.codec;
  if (codec === undefined) throw new Error(`${protocol} has no codec`);
  return codec;
}

function requestOf({ protocol, body }: Ingress): NeutralRequest {
  return codecOf(protocol).decodeRequest(body('m', 'x') as JsonObject, { model: 'm', isStream: true });
}

function translate(upstream: string, ingress: Ingress, slices: readonly Buffer[]): Buffer {
  const request = requestOf(ingress);
  const passage = new TranslatedPassage({
    decoder: codecOf(upstream).openDecoder(request),
    encoder: codecOf(ingress.protocol).openEncoder({
      requestId: 'req_1',
      alias: 'm',
      nowMs: 0,
      origin,
      request,
      wantsStreamUsage: true,
    }),
    adapter: unchanged,
    origin,
  });
  const written: Buffer[] = [];
  for (const slice of slices) {
    const { bytes, end } = passage.push(slice);
    written.push(...bytes);
    if (end !== undefined) return Buffer.concat(written);
  }
  return Buffer.concat([...written, ...(passage.end()?.bytes ?? [])]);
}

/** Slices of the given size; 0: of random sizes. */
function sliced(bytes: Buffer, sliceBytes: number, random: () => number): Buffer[] {
  const slices: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += slices.at(-1)?.length ?? 1)
    slices.push(bytes.subarray(at, at + (sliceBytes || 1 + Math.floor(random() * 100))));
  return slices;
}

const finishes: Readonly<Partial<Record<FinishReason, Sight['finish']>>> = {
  length: 'length',
  'context-full': 'length',
  'tool-calls': 'tool-calls',
  filtered: 'refused',
  refused: 'refused',
};

function sightOf({ parts, finish, report }: NeutralAnswer): Sight {
  const usage = report?.usage;
  const isRefused = parts.some(part => part.type === 'refusal');
  return {
    text: parts.map(part => (part.type === 'text' || part.type === 'refusal' ? part.text : '')).join(''),
    calls: parts.flatMap(part =>
      part.type === 'tool-call' ? [{ name: part.name, arguments: part.arguments }] : [],
    ),
    finish: isRefused ? 'refused' : (finishes[finish] ?? 'stop'),
    inputTokens: usage ? usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWrite1h : 0,
    outputTokens: usage ? usage.output + usage.reasoning : 0,
  };
}

/** What the client's own protocol says when it is read back. */
function readBack(ingress: Ingress, bytes: Buffer): Sight {
  const decoder = codecOf(ingress.protocol).openDecoder(requestOf(ingress));
  const events = [...decoder.push(bytes), ...decoder.end()];
  return sightOf(foldAnswer(orderEvents(events, { adapter: unchanged, origin })));
}

/** A call without arguments may be told as an empty object. */
const emptied = (sight: Sight): Sight => ({
  ...sight,
  calls: sight.calls.map(call => ({ ...call, arguments: call.arguments || '{}' })),
});

const eventIngresses = ingresses.filter(({ name }) => name !== 'gemini as a JSON array');

describe.each(eventIngresses.map(each => [each.name, each] as const))('%s', (name, ingress) => {
  test.each(oddStreams.map(each => [each.upstream, each.name, each] as const))(
    '[F28] [F30] from %s: %s',
    (_upstream, _name, odd) => {
      const seed = randomInt(2 ** 31);
      const random = seededRandom(seed);
      const whole = translate(odd.upstream, ingress, [odd.bytes]);
      for (const size of [1, 7, 0])
        expect(translate(odd.upstream, ingress, sliced(odd.bytes, size, random)), `seed ${seed}`).toEqual(
          whole,
        );
      expect(mistakesIn[name]?.(whole, 'terminal')).toEqual([]);
      expect(emptied(readBack(ingress, whole))).toEqual(emptied(odd.sight));
    },
  );
});
