import type { Protocol } from '../domain/protocol.ts';
import { anthropicBedrock, anthropicVertex } from './anthropic-hosted/anthropic-hosted.ts';
import { anthropicMessages } from './anthropic-messages/anthropic-messages.ts';
import { bedrockConverse } from './bedrock-converse/bedrock-converse.ts';
import { cohereChat } from './cohere-chat/cohere-chat.ts';
import { gemini } from './gemini/gemini.ts';
import { openaiChat } from './openai-chat/openai-chat.ts';
import { openaiResponses } from './openai-responses/openai-responses.ts';

/** Every protocol, by name. A new one is a folder and a line here. */
export const protocols: ReadonlyMap<string, Protocol> = new Map(
  [
    openaiChat,
    openaiResponses,
    anthropicMessages,
    gemini,
    bedrockConverse,
    cohereChat,
    anthropicVertex,
    anthropicBedrock,
  ].map(protocol => [protocol.name, protocol]),
);
