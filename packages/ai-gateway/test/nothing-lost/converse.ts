import { type Addition, behind, canary, canaryIn, inside, member, schema } from './additions.ts';

const block = (...content: unknown[]) => ({ role: 'user', content });
const converseTool = (more: object) => ({ toolSpec: { name: 'f', inputSchema: { json: schema }, ...more } });
const toolUse = { toolUse: { toolUseId: 't1', name: 'f', input: {} } };
const tools = (name: string, value: unknown): Addition => ({
  name: `toolConfig.tools: ${name}`,
  add: body => {
    const config = body.toolConfig as { tools: unknown[] };
    return { ...body, toolConfig: { ...config, tools: [...config.tools, value] } };
  },
  ...canaryIn(value),
});

export const converse: readonly Addition[] = [
  member('additionalModelRequestFields', { anthropic_beta: [canary] }),
  member('additionalModelRequestFields', { thinking: { type: 'enabled', budget_tokens: 2000 } }),
  member('additionalModelRequestFields', { thinking: { type: 'adaptive', display: 'omitted' } }),
  member('additionalModelRequestFields', { top_k: 7 }),
  member('additionalModelResponseFieldPaths', [canary]),
  member('guardrailConfig', { guardrailIdentifier: canary, guardrailVersion: '1' }),
  member('performanceConfig', { latency: 'optimized' }),
  member('promptVariables', { a: { text: canary } }),
  member('requestMetadata', { a: canary }),
  member('serviceTier', { type: 'flex' }),
  member('system', [{ text: canary }]),
  member('system', [{ guardContent: { text: { text: canary } } }]),
  inside('inferenceConfig', 'maxTokens', 77),
  inside('inferenceConfig', 'stopSequences', [canary]),
  inside('inferenceConfig', 'temperature', 0.7),
  inside('inferenceConfig', 'topP', 0.7),
  inside('inferenceConfig', 'vendorsOwn', canary),
  inside('outputConfig', 'effort', 'high'),
  inside('outputConfig', 'textFormat', {
    type: 'json_schema',
    structure: { jsonSchema: { name: 'n', schema: JSON.stringify({ ...schema, title: canary }) } },
  }),
  inside('toolConfig', 'toolChoice', { any: {} }),
  inside('toolConfig', 'toolChoice', { tool: { name: 'get' } }),
  tools('a function', converseTool({ description: canary })),
  tools('strict', converseTool({ strict: true })),
  tools('a tool of the system', { systemTool: { name: canary } }),
  behind('messages', 'a text', block({ text: canary })),
  behind('messages', 'guarded', block({ guardContent: { text: { text: canary } } })),
  behind('messages', 'an image', block({ image: { format: 'png', source: { bytes: canary } } })),
  behind(
    'messages',
    'a kept image',
    block({ image: { format: 'png', source: { s3Location: { uri: `s3://b/${canary}.png` } } } }),
  ),
  behind(
    'messages',
    'the owner of a bucket',
    block({ image: { format: 'png', source: { s3Location: { uri: 's3://b/a.png', bucketOwner: canary } } } }),
  ),
  behind(
    'messages',
    'a document',
    block({ document: { format: 'pdf', name: 'n', source: { bytes: canary } } }),
  ),
  behind(
    'messages',
    'the name of a document',
    block({ document: { format: 'pdf', name: canary, source: { bytes: 'QUJD' } } }),
  ),
  behind(
    'messages',
    'a document of parts',
    block({ document: { format: 'txt', name: 'n', source: { content: [{ text: canary }] } } }),
  ),
  behind(
    'messages',
    'the context of a document',
    block({ document: { format: 'txt', name: 'n', context: canary, source: { text: 'abc' } } }),
  ),
  behind(
    'messages',
    'a cited document',
    block({ document: { format: 'txt', name: 'n', citations: { enabled: true }, source: { text: 'abc' } } }),
  ),
  behind('messages', 'sound', block({ audio: { format: 'mp3', source: { bytes: canary } } })),
  behind('messages', 'a film', block({ video: { format: 'mp4', source: { bytes: canary } } })),
  behind(
    'messages',
    'a search result',
    block({ searchResult: { source: 's', title: 't', content: [{ text: canary }] } }),
  ),
  behind(
    'messages',
    'a result',
    { role: 'assistant', content: [toolUse] },
    block({ toolResult: { toolUseId: 't1', content: [{ json: { a: canary } }] } }),
  ),
  behind(
    'messages',
    'a failure',
    { role: 'assistant', content: [toolUse] },
    block({ toolResult: { toolUseId: 't1', status: 'error', content: [{ text: canary }] } }),
  ),
  behind(
    'messages',
    'a search result in a result',
    { role: 'assistant', content: [toolUse] },
    block({
      toolResult: {
        toolUseId: 't1',
        content: [{ searchResult: { source: 's', title: 't', content: [{ text: canary }] } }],
      },
    }),
  ),
  behind(
    'messages',
    'citations',
    {
      role: 'assistant',
      content: [{ citationsContent: { content: [{ text: 'a' }], citations: [{ title: canary }] } }],
    },
    block({ text: 'y' }),
  ),
];
