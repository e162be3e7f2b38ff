import { expect, test } from 'vitest';
import type { Attempt, Call } from '../domain/call.ts';
import type { Protocol } from '../domain/protocol.ts';
import { anthropicMessages } from '../protocols/anthropic-messages/anthropic-messages.ts';
import { openaiChat } from '../protocols/openai-chat/openai-chat.ts';
import { translatedWay } from './translated-way.ts';

test('copies of a call that are tried at once read its request once', () => {
  let reads = 0;
  const { codec } = openaiChat;
  if (codec === undefined) throw new Error('Chat Completions has a codec');
  const protocol: Protocol = {
    ...openaiChat,
    codec: {
      ...codec,
      decodeRequest(body, context) {
        reads++;
        return codec.decodeRequest(body, context);
      },
    },
  };
  const body = Buffer.from('{"model":"m","messages":[{"role":"user","content":"Hi."}]}');
  const request = protocol.readRequest(body);
  const call = { protocol, request, route: { alias: 'm', targets: [] }, requestId: 'r' } as unknown as Call; // the rest is not looked at
  const target = { provider: { name: 'p' }, model: 'm' };
  const written = [call, { ...call }, { ...call }].map(each => {
    const attempt = { call: each, target } as unknown as Attempt; // as above
    const access = { path: () => '', mayAskStreamUsage: false };
    return translatedWay(attempt, { protocol: anthropicMessages, access, nowMs: 0 }).body.toString();
  });
  expect(new Set(written).size).toBe(1);
  expect(reads).toBe(1);
});
