import { anthropicOddities } from './anthropic-messages.ts';
import { converseOddities } from './bedrock-converse.ts';
import { cohereOddities } from './cohere-chat.ts';
import { geminiOddities } from './gemini.ts';
import type { OddStream } from './odd-stream.ts';
import { chatOddities } from './openai-chat.ts';
import { responsesOddities } from './openai-responses.ts';

/** Streams that vendors do send, or may tomorrow, and that simple readers trip over. Hand-written after their documentation. */
export const oddStreams: readonly OddStream[] = [
  ...chatOddities,
  ...responsesOddities,
  ...anthropicOddities,
  ...geminiOddities,
  ...converseOddities,
  ...cohereOddities,
];
