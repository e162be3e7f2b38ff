import { expect, test } from 'vitest';
import type { Codec } from '../domain/codec.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { protocols } from './registry.ts';

const request = {
  protocol: 'any',
  model: 'm',
  isStream: false,
  system: [],
  messages: [],
  tools: [],
  toolChoice: undefined,
  format: undefined,
  reasoning: undefined,
  sampling: {},
  unknown: {},
} as unknown as Parameters<Codec['decodeAnswer']>[1]; // no decoder of an answer asks for more

const answers: Readonly<Record<string, (name: string) => JsonObject>> = {
  'openai-chat': name => ({ choices: [{ message: { content: 'a' }, finish_reason: name }] }),
  'openai-responses': name => ({
    status: 'incomplete',
    incomplete_details: { reason: name },
    output: [{ type: 'message', content: [{ type: 'output_text', text: 'a' }] }],
  }),
  'anthropic-messages': name => ({ content: [{ type: 'text', text: 'a' }], stop_reason: name, usage: {} }),
  gemini: name => ({ candidates: [{ content: { parts: [{ text: 'a' }] }, finishReason: name }] }),
  'bedrock-converse': name => ({ output: { message: { content: [{ text: 'a' }] } }, stopReason: name }),
  'cohere-chat': name => ({ message: { content: [{ type: 'text', text: 'a' }] }, finish_reason: name }),
};

test.each(Object.entries(answers))(
  '%s: a reason that nobody knows is unknown, whatever its name',
  (name, answer) => {
    for (const reason of ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'NEW_REASON']) {
      const events = protocols.get(name)?.codec?.decodeAnswer(answer(reason), request) ?? [];
      expect(
        events.find(event => event.type === 'finish'),
        reason,
      ).toMatchObject({ reason: 'unknown' });
    }
  },
);
