import { type Content, GoogleGenAI } from '@google/genai';
import type { LoopClient } from './loops.ts';

export const geminiLoop: LoopClient = {
  name: '@google/genai, generateContent',
  protocol: 'gemini',
  open(server, prompt, isStream) {
    const sdk = new GoogleGenAI({ apiKey: server.key, httpOptions: { baseUrl: server.url } });
    const contents: Content[] = [{ role: 'user', parts: [{ text: prompt }] }];
    const parametersJsonSchema = {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
    };
    return {
      async turn(model) {
        const request = {
          model,
          contents,
          config: {
            maxOutputTokens: 4000,
            thinkingConfig: { includeThoughts: true },
            tools: [{ functionDeclarations: [{ name: 'get_weather', parametersJsonSchema }] }],
          },
        };
        const answers = isStream
          ? await sdk.models.generateContentStream(request)
          : [await sdk.models.generateContent(request)];
        const parts = [];
        for await (const answer of answers) parts.push(...(answer.candidates?.[0]?.content?.parts ?? []));
        contents.push({ role: 'model', parts });
        const calls = parts.flatMap(part => part.functionCall ?? []);
        if (calls.length > 0) {
          contents.push({
            role: 'user',
            parts: calls.map(({ id, name }) => ({
              functionResponse: {
                ...(id !== undefined && { id }),
                name: name ?? '',
                response: { output: 'Sunny' },
              },
            })),
          });
        }
        const text = parts.flatMap(part => (part.text && !part.thought ? [part.text] : [])).join('');
        return { text, calls: calls.map(call => call.id ?? call.name ?? '') };
      },
    };
  },
};
