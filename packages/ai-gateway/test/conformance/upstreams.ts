/** An upstream protocol, as the simulator serves it. A new one is a line here. */
export interface Upstream {
  readonly name: string;
  /** The provider's options but for its key and the address that are the same everywhere. */
  provider(simulatorUrl: string): object;
  readonly model: string;
  /** A model that thinks, when that is another. */
  readonly thinkingModel: string;
  /** Names of the cases that it has no words for. */
  readonly lacks?: readonly string[];
  /** What stands before each seal in a request to it; undefined where the protocol has none. */
  readonly sealMark: string | undefined;
}

export const upstreams: readonly Upstream[] = [
  {
    name: 'openai-chat',
    provider: url => ({ type: 'openai-compatible', base_url: `${url}/openai/v1` }),
    model: 'sim-model',
    thinkingModel: 'sim-reasoner',
    sealMark: undefined,
  },
  {
    name: 'openai-responses',
    lacks: ['a stop sequence'],
    provider: url => ({ type: 'openai', base_url: `${url}/openai/v1`, apis: ['responses'] }),
    model: 'sim-model',
    thinkingModel: 'gpt-5-mini',
    sealMark: '"encrypted_content":"',
  },
  {
    name: 'anthropic-messages',
    provider: url => ({ type: 'anthropic', base_url: `${url}/anthropic` }),
    model: 'sim-model',
    thinkingModel: 'sim-model',
    sealMark: '"signature":"',
  },
  {
    name: 'gemini',
    provider: url => ({ type: 'gemini', base_url: `${url}/gemini/v1beta` }),
    model: 'sim-model',
    thinkingModel: 'gemini-3-flash',
    sealMark: '"thoughtSignature":"',
  },
  {
    name: 'bedrock-converse',
    provider: url => ({ type: 'bedrock', region: 'us-east-1', base_url: `${url}/bedrock` }),
    model: 'sim-model',
    thinkingModel: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
    sealMark: '"signature":"',
  },
  {
    name: 'cohere-chat',
    lacks: ['PDF in'],
    provider: url => ({ type: 'cohere', base_url: `${url}/cohere` }),
    model: 'sim-model',
    thinkingModel: 'command-a-reasoning-08-2025',
    sealMark: undefined,
  },
];
