import {
  type Candidate,
  FunctionCallingConfigMode,
  type GenerateContentParameters,
  type GenerateContentResponse,
  GoogleGenAI,
  type Part,
} from '@google/genai';
import type { Case, Seen } from './cases.ts';
import type { Asked, Client } from './client.ts';

export const geminiClient: Client = {
  name: '@google/genai, generateContent',
  protocol: 'gemini',
  async ask(server, model, test, isStream) {
    const sdk = new GoogleGenAI({ apiKey: server.key, httpOptions: { baseUrl: server.url } });
    const request = requestOf(model, test);
    if (!isStream) return read([await sdk.models.generateContent(request)]);
    const chunks: GenerateContentResponse[] = [];
    for await (const chunk of await sdk.models.generateContentStream(request)) chunks.push(chunk);
    return read(chunks);
  },
};

function requestOf(model: string, test: Case): GenerateContentParameters {
  const { prompt, system, image, pdf, tools, forcedTool, schema, stop, thinks } = test;
  return {
    model,
    contents: [
      {
        role: 'user',
        parts: [
          { text: prompt },
          ...(image === undefined ? [] : [{ inlineData: { mimeType: 'image/png', data: image } }]),
          ...(pdf === undefined ? [] : [{ inlineData: { mimeType: 'application/pdf', data: pdf } }]),
        ],
      },
    ],
    config: {
      maxOutputTokens: 4000,
      ...(system !== undefined && { systemInstruction: system }),
      ...(stop && { stopSequences: [stop] }),
      ...(forcedTool && {
        toolConfig: {
          functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: [forcedTool] },
        },
      }),
      ...(tools && {
        tools: [
          {
            functionDeclarations: tools.map(({ name, schema: parametersJsonSchema }) => ({
              name,
              parametersJsonSchema,
            })),
          },
        ],
      }),
      ...(schema && { responseMimeType: 'application/json', responseJsonSchema: schema }),
      ...(thinks && { thinkingConfig: { includeThoughts: true, thinkingBudget: 2000 } }),
    },
  };
}

function read(chunks: readonly GenerateContentResponse[]): Asked {
  const parts = chunks.flatMap(chunk => chunk.candidates?.[0]?.content?.parts ?? []);
  const reason = chunks.flatMap(chunk => chunk.candidates?.[0]?.finishReason ?? []).at(-1);
  const usage = chunks.findLast(chunk => chunk.usageMetadata)?.usageMetadata;
  const texts = (isThought: boolean) =>
    parts.flatMap(part => (part.text && (part.thought ?? false) === isThought ? [part.text] : [])).join('');
  const calls = parts.flatMap(callOf);
  const text = texts(false);
  const finish = finishOf(reason, calls.length > 0);
  return {
    seen: {
      text: finish === 'refused' ? '' : text,
      refusal: finish === 'refused' ? text : '',
      calls,
      finish,
      inputTokens: usage?.promptTokenCount ?? 0,
      cachedTokens: usage?.cachedContentTokenCount ?? 0,
      outputTokens: (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0),
    },
    message: { text, thoughts: texts(true), calls, reason, usage, model: chunks[0]?.modelVersion },
  };
}

function callOf({ functionCall: call }: Part): Seen['calls'][number][] {
  return call === undefined ? [] : [{ name: call.name ?? '', arguments: call.args ?? {} }];
}

function finishOf(reason: Candidate['finishReason'], hasCalls: boolean): Seen['finish'] {
  if (reason === 'MAX_TOKENS') return 'length';
  if (reason !== 'STOP') return 'refused';
  return hasCalls ? 'tool-calls' : 'stop';
}
