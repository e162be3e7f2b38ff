/** A whole answer of each upstream protocol that has something at as many places as one answer can. */
export const richAnswers: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'openai-chat': {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    service_tier: 'default',
    system_fingerprint: 'f',
    choices: [
      {
        index: 0,
        finish_reason: 'tool_calls',
        logprobs: { content: [{ token: 'a', logprob: -1, top_logprobs: [] }] },
        message: {
          role: 'assistant',
          content: 'Hi',
          refusal: null,
          reasoning_content: 'hm',
          annotations: [
            { type: 'url_citation', url_citation: { url: 'u', title: 't', start_index: 0, end_index: 1 } },
          ],
          tool_calls: [
            { id: 'c', type: 'function', function: { name: 'get_weather', arguments: '{"city":"a"}' } },
          ],
        },
      },
    ],
    usage: {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 2 },
    },
  },
  'openai-responses': {
    id: 'resp_1',
    object: 'response',
    created_at: 1,
    status: 'completed',
    model: 'm',
    error: null,
    incomplete_details: null,
    output: [
      {
        type: 'reasoning',
        id: 'rs_1',
        summary: [{ type: 'summary_text', text: 's' }],
        encrypted_content: 'e',
      },
      {
        type: 'message',
        id: 'msg_1',
        role: 'assistant',
        status: 'completed',
        content: [
          {
            type: 'output_text',
            text: 'Hi',
            annotations: [{ type: 'url_citation', url: 'u', title: 't', start_index: 0, end_index: 1 }],
          },
          { type: 'refusal', refusal: 'no' },
        ],
      },
      {
        type: 'function_call',
        id: 'fc_1',
        call_id: 'c',
        name: 'get_weather',
        arguments: '{}',
        status: 'completed',
      },
      { type: 'custom_tool_call', id: 'ctc_1', call_id: 'd', name: 'g', input: 'x' },
    ],
    usage: {
      input_tokens: 10,
      output_tokens: 5,
      total_tokens: 15,
      input_tokens_details: { cached_tokens: 4 },
      output_tokens_details: { reasoning_tokens: 2 },
    },
  },
  'anthropic-messages': {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'm',
    content: [
      { type: 'thinking', thinking: 't', signature: 's' },
      { type: 'redacted_thinking', data: 'd' },
      {
        type: 'text',
        text: 'Hi',
        citations: [
          {
            type: 'char_location',
            cited_text: 'c',
            document_index: 0,
            start_char_index: 0,
            end_char_index: 1,
          },
        ],
      },
      { type: 'tool_use', id: 'c', name: 'get_weather', input: { city: ['a', { b: 1 }] } },
    ],
    stop_reason: 'tool_use',
    stop_sequence: null,
    usage: {
      input_tokens: 10,
      output_tokens: 5,
      cache_read_input_tokens: 1,
      cache_creation_input_tokens: 2,
      cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 1 },
      server_tool_use: { web_search_requests: 1 },
      service_tier: 'standard',
    },
  },
  gemini: {
    candidates: [
      {
        index: 0,
        finishReason: 'STOP',
        content: {
          role: 'model',
          parts: [
            { text: 't', thought: true, thoughtSignature: 'cw==' },
            { text: 'Hi' },
            {
              functionCall: { id: 'c', name: 'get_weather', args: { city: ['a'] } },
              thoughtSignature: 'cw==',
            },
            { inlineData: { mimeType: 'image/png', data: 'iVBORw0KGgo=' } },
          ],
        },
        citationMetadata: { citations: [{ startIndex: 0, endIndex: 1, uri: 'u' }] },
        groundingMetadata: {
          groundingChunks: [{ web: { uri: 'u', title: 't' } }],
          groundingSupports: [
            { segment: { startIndex: 0, endIndex: 1, text: 'H' }, groundingChunkIndices: [0] },
          ],
        },
        safetyRatings: [{ category: 'c', probability: 'LOW', blocked: false }],
      },
    ],
    promptFeedback: { safetyRatings: [] },
    usageMetadata: {
      promptTokenCount: 10,
      candidatesTokenCount: 5,
      thoughtsTokenCount: 2,
      cachedContentTokenCount: 1,
      totalTokenCount: 17,
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: 10 }],
    },
    modelVersion: 'm',
    responseId: 'r',
  },
  'bedrock-converse': {
    output: {
      message: {
        role: 'assistant',
        content: [
          { reasoningContent: { reasoningText: { text: 't', signature: 's' } } },
          { text: 'Hi' },
          { toolUse: { toolUseId: 'c', name: 'get_weather', input: { city: ['a'] } } },
          { citationsContent: { content: [{ text: 'x' }], citations: [{ title: 't' }] } },
        ],
      },
    },
    stopReason: 'tool_use',
    usage: {
      inputTokens: 10,
      outputTokens: 5,
      totalTokens: 15,
      cacheReadInputTokens: 1,
      cacheWriteInputTokens: 2,
      cacheDetails: [{ ttl: '1h', inputTokens: 1 }],
    },
    metrics: { latencyMs: 1 },
    serviceTier: { type: 'default' },
  },
  'cohere-chat': {
    id: 'c1',
    finish_reason: 'TOOL_CALL',
    message: {
      role: 'assistant',
      tool_plan: 'p',
      content: [
        { type: 'thinking', thinking: 't' },
        { type: 'text', text: 'Hi' },
      ],
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'get_weather', arguments: '{}' } }],
      citations: [
        { start: 0, end: 1, text: 'H', sources: [{ type: 'document', id: 'd', document: { title: 't' } }] },
      ],
    },
    usage: {
      billed_units: { input_tokens: 10, output_tokens: 5 },
      tokens: { input_tokens: 10, output_tokens: 5 },
      cached_tokens: 1,
    },
  },
};
