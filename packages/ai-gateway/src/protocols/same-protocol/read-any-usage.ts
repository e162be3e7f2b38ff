import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { readAnthropicUsage } from '../anthropic-messages/usage.ts';
import { readConverseUsage } from '../bedrock-converse/usage.ts';
import { readCohereUsage } from '../cohere-chat/usage.ts';
import { readGeminiUsage } from '../gemini/usage.ts';
import { readOpenaiUsage } from '../openai-chat/usage.ts';
import { readResponsesUsage } from '../openai-responses/usage.ts';
import { asObject } from '../read-json.ts';

/** The usage of an answer whose protocol is not known, told by the names it uses. Undefined when it tells none. */
export function readAnyUsage(body: JsonObject): UsageReport | undefined {
  const gemini = asObject(body.usageMetadata);
  if (gemini !== undefined) return readGeminiUsage(gemini);
  const billed = asObject(asObject(body.meta)?.billed_units);
  if (billed !== undefined) return readCohereUsage({ billed_units: billed });
  const usage = asObject(body.usage) ?? asObject(asObject(body.response)?.usage);
  if (usage === undefined) return undefined;
  if (usage.billed_units !== undefined) return readCohereUsage(usage);
  if (usage.inputTokens !== undefined) return readConverseUsage(usage);
  if (usage.prompt_tokens !== undefined) return readOpenaiUsage(usage);
  if (usage.input_tokens === undefined) return undefined;
  // OpenAI's newer APIs count the cached tokens in, Anthropic's does not.
  if (usage.total_tokens === undefined) return readAnthropicUsage(usage);
  return readResponsesUsage(usage, body.output ?? asObject(body.response)?.output);
}
