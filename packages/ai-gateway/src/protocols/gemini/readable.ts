import { members, type Readable, scalars } from '../unread.ts';

/** Names are in camelCase here. Parts that only Gemini knows pass whole. */
const part: Readable = {
  members: {
    ...members('text', 'thought', 'thoughtSignature').members,
    inlineData: members('mimeType', 'data', 'displayName'),
    fileData: members('mimeType', 'fileUri', 'displayName'),
    functionCall: members('id', 'name', 'args'),
    functionResponse: members('id', 'name', 'response', 'parts'),
    ...members('executableCode', 'codeExecutionResult', 'toolCall', 'toolResponse').members,
  },
};

/** What is read of a request below its outermost members. */
export const readableGemini: Readonly<Record<string, Readable>> = {
  contents: { items: { members: { role: 'any', parts: { items: part, orOne: true } } }, orOne: true },
  // Its parts may stand there by themselves.
  systemInstruction: {
    items: { members: { role: 'any', text: 'any', parts: { items: members('text'), orOne: true } } },
    orOne: true,
    orText: true,
  },
  tools: {
    items: {
      members: {
        functionDeclarations: {
          items: members('name', 'description', 'parameters', 'parametersJsonSchema'),
          orOne: true,
        },
      },
      isOpen: true,
    },
    orOne: true,
  },
  toolConfig: { members: { functionCallingConfig: members('mode', 'allowedFunctionNames') } },
  labels: 'object',
  generationConfig: {
    members: {
      thinkingConfig: members('includeThoughts', 'thinkingBudget', 'thinkingLevel'),
      ...scalars('number', 'maxOutputTokens', 'temperature', 'topP', 'topK', 'seed'),
      ...scalars('number', 'presencePenalty', 'frequencyPenalty'),
      stopSequences: 'texts',
    },
    isOpen: true,
  },
};
