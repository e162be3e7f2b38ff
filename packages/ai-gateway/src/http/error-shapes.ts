import type { IncomingHttpHeaders } from 'node:http';
import { anthropicErrors } from '@strata/shared/errors/anthropic.ts';
import { bedrockErrors } from '@strata/shared/errors/bedrock.ts';
import type { ErrorRenderer } from '@strata/shared/errors/error-renderer.ts';
import { geminiErrors } from '@strata/shared/errors/gemini.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import { cohereErrors } from '../protocols/cohere-chat/cohere-chat.ts';

type Vendor = 'openai' | 'anthropic' | 'google' | 'aws' | 'cohere';

/** Whose client asks: by the path, and below `/v1`, which three of them have, by the headers of the SDKs. */
export function vendorOf(path: string, headers: IncomingHttpHeaders): Vendor | undefined {
  const [, first, second] = path.split('/', 3);
  switch (first) {
    case 'v1beta':
    case 'v1beta1':
    case 'upload':
      return 'google';
    case 'model':
    case 'async-invoke':
    case 'guardrail':
      return 'aws';
    case 'v1':
      if (second === 'messages' || headers['anthropic-version'] !== undefined) return 'anthropic';
      return isVertex(second) || isGoogles(headers) ? 'google' : 'openai';
    case 'v2':
      return 'cohere';
    case 'openai':
      return 'openai';
    default:
      return undefined;
  }
}

function isVertex(second: string | undefined): boolean {
  return second === 'projects' || second === 'publishers';
}

function isGoogles(headers: IncomingHttpHeaders): boolean {
  return headers['x-goog-api-key'] !== undefined || headers['x-goog-api-client'] !== undefined;
}

const shapes: Readonly<Record<Vendor, ErrorRenderer>> = {
  openai: openaiErrors,
  anthropic: anthropicErrors,
  google: geminiErrors,
  aws: bedrockErrors,
  cohere: cohereErrors,
};

/** In whose words an error is said where the route itself does not know. */
export function errorsFor(path: string, headers: IncomingHttpHeaders): ErrorRenderer | undefined {
  const vendor = vendorOf(path, headers);
  return vendor && shapes[vendor];
}
