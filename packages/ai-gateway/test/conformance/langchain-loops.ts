import type { BaseChatModel } from '@langchain/core/language_models/chat_models';
import {
  type AIMessageChunk,
  type BaseMessage,
  HumanMessage,
  type MessageStructure,
  ToolMessage,
} from '@langchain/core/messages';
import { langChainModels } from './langchain-clients.ts';
import type { LoopClient } from './loops.ts';

const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'Tells the weather.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

/** LangChain keeps seals in the content of its messages; a history is given back message by message. */
export const langChainLoops: readonly LoopClient[] = langChainModels.map(langChain => ({
  name: langChain.name,
  protocol: langChain.protocol,
  open(server, prompt, isStream) {
    const messages: BaseMessage[] = [new HumanMessage(prompt)];
    return {
      async turn(model) {
        const chat = langChain.open(server, model, { thinks: true });
        const message = await ask(chat, messages, isStream);
        messages.push(message);
        const calls = (message.tool_calls ?? []).map(({ id = '' }) => id);
        for (const id of calls)
          messages.push(new ToolMessage({ content: 'Sunny', tool_call_id: id, name: 'get_weather' }));
        return { text: message.text, calls };
      },
    };
  },
}));

async function ask(chat: BaseChatModel, messages: BaseMessage[], isStream: boolean) {
  const runnable = chat.bindTools?.([weather]);
  if (runnable === undefined) throw new Error('it takes no tools');
  if (!isStream) return runnable.invoke(messages);
  let whole: AIMessageChunk<MessageStructure> | undefined;
  for await (const chunk of await runnable.stream(messages)) whole = whole?.concat(chunk) ?? chunk;
  if (whole === undefined) throw new Error('no chunk');
  return whole;
}
