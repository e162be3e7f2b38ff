import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Codec } from '../../src/domain/codec.ts';
import type { JsonObject } from '../../src/domain/json-object.ts';
import { Losses } from '../../src/domain/losses.ts';
import { protocols } from '../../src/protocols/registry.ts';
import { useMatrixGateway } from '../conformance/matrix-gateway.ts';
import { upstreams } from '../conformance/upstreams.ts';
import { post, type RawAnswer } from '../harness.ts';
import { type RichRequest, richRequests, samePassed } from './requests.ts';
import { spoiled } from './values.ts';

/** Any JSON value at any place of a request: answered, or refused in the words of who asked, never a failure of the gateway. */

const matrix = useMatrixGateway();

/** Whether a body is an error as the protocol's clients read it. */
const isError: Readonly<Record<string, (body: JsonObject) => boolean>> = {
  'openai-chat': ({ error }) => typeof (error as JsonObject | undefined)?.message === 'string',
  'openai-responses': ({ error }) => typeof (error as JsonObject | undefined)?.message === 'string',
  'anthropic-messages': ({ type, error }) =>
    type === 'error' && typeof (error as JsonObject | undefined)?.message === 'string',
  gemini: ({ error }) => typeof (error as JsonObject | undefined)?.code === 'number',
  'bedrock-converse': ({ message }) => typeof message === 'string',
  'cohere-chat': ({ message }) => typeof message === 'string',
  // Cohere's own refusals pass.
  'cohere-rerank': ({ error, message }) =>
    typeof ((error as JsonObject | undefined)?.message ?? message) === 'string',
  // The provider's own words, or the gateway's problem document.
  raw: body => typeof body === 'object',
};

function check({ protocol }: RichRequest, answer: RawAnswer): void {
  expect(answer.isComplete).toBe(true);
  // What the simulator does not serve is an upstream's failure; nothing else may be one.
  if (answer.status >= 500) expect(answer.body.toString()).toContain('upstream_model_gone');
  if (answer.status < 400) return;
  const said = JSON.parse(answer.body.toString()) as JsonObject | [JsonObject];
  expect(isError[protocol]?.(Array.isArray(said) ? said[0] : said), answer.body.toString()).toBe(true);
}

const numRuns = sized({ ci: 40, soak: 2000 });

describe('on the socket', () => {
  test.each([...richRequests, ...samePassed].map(each => [each.name, each] as const))(
    '%s',
    async (_name, request) => {
      const model = fc.constantFrom(...upstreams.map(({ name }) => name));
      const asked = model.chain(name => fc.tuple(fc.constant(name), spoiled(request.body(name))));
      await fc.assert(
        fc.asyncProperty(asked, async ([name, body]) => {
          check(request, await post(matrix.gateway, request.path(name), JSON.stringify(body)));
        }),
        { numRuns },
      );
    },
  );

  test('after all that the gateway answers as ever', async () => {
    const [request = expect.fail()] = richRequests;
    const body = { model: 'openai-chat', messages: [{ role: 'user', content: 'x' }] };
    expect((await post(matrix.gateway, request.path('openai-chat'), body)).status).toBe(200);
  });
});

const manyRuns = sized({ ci: 1500, soak: 100_000 });
const readable = richRequests.filter(({ name }) => !name.includes(','));

describe('read and written for every upstream', () => {
  test.each(readable.map(each => [each.name, each] as const))('%s', (_name, { protocol, body }) => {
    const codec = codecOf(protocol);
    const hints = { model: 'm', isStream: true };
    const target = { provider: 'p', model: 'm', mayAskStreamUsage: true };
    fc.assert(
      fc.property(spoiled(body('m')), document => {
        if (typeof document !== 'object' || document === null || Array.isArray(document)) return;
        const asked = refusing(() => codec.decodeRequest(document as JsonObject, hints));
        if (asked === undefined) return;
        for (const { name } of upstreams)
          refusing(() => JSON.stringify(codecOf(name).encodeRequest(asked, target, new Losses())));
      }),
      { numRuns: manyRuns },
    );
  });
});

function codecOf(protocol: string): Codec {
  const codec = protocols.get(protocol)?.codec;
  if (codec === undefined) throw new Error(`${protocol} has no codec`);
  return codec;
}

/** Undefined when the request was refused as such. */
function refusing<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof GatewayError && error.kind === 'invalid_request') return undefined;
    throw error;
  }
}
