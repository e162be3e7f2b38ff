import { members, type Readable, scalars } from '../unread.ts';

const s3 = members('uri');
const media = (...names: readonly string[]): Readable => ({
  members: {
    ...members('format', ...names).members,
    source: { members: { bytes: 'any', text: 'any', content: 'any', s3Location: s3 } },
  },
});
const result: Readonly<Record<string, Readable>> = {
  text: 'any',
  json: 'any',
  image: media(),
  document: media('name', 'context', 'citations'),
  video: media(),
  searchResult: members('source', 'title', 'content', 'citations'),
};

/** Blocks that only Converse knows pass whole. */
const block: Readable = {
  members: {
    ...result,
    audio: media(),
    ...members('guardContent', 'cachePoint').members,
    toolUse: members('toolUseId', 'name', 'input'),
    toolResult: {
      members: {
        ...members('toolUseId', 'status', 'type').members,
        content: { items: { members: result } },
      },
    },
    reasoningContent: 'any',
    citationsContent: { members: { content: 'any' } },
  },
};

/** What is read of a request below its outermost members. */
export const readableConverse: Readonly<Record<string, Readable>> = {
  messages: { items: { members: { role: 'any', content: { items: block } } } },
  system: { items: members('text', 'cachePoint') },
  inferenceConfig: {
    members: { ...scalars('number', 'maxTokens', 'temperature', 'topP'), stopSequences: 'texts' },
  },
  toolConfig: {
    members: {
      tools: {
        items: {
          members: {
            toolSpec: members('name', 'description', 'inputSchema', 'strict'),
            ...members('cachePoint', 'systemTool').members,
          },
        },
      },
      toolChoice: { members: { auto: 'any', any: 'any', tool: members('name') } },
    },
  },
  requestMetadata: 'object',
  additionalModelRequestFields: 'object',
  serviceTier: members('type'),
  outputConfig: { members: { effort: 'any', textFormat: members('type', 'structure') } },
};
