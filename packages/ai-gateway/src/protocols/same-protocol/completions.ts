import type { Protocol } from '../../domain/protocol.ts';
import { openaiChat } from '../openai-chat/openai-chat.ts';

const { codec: _never, ...chat } = openaiChat;

/** The API before Chat Completions, which local servers still have: the same in all but its prompt, and never translated. */
export const openaiCompletions: Protocol = {
  ...chat,
  name: 'openai-completions',
  operation: 'text_completion',
};
