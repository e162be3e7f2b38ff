import type { IncomingHttpHeaders } from 'node:http';
import { anthropicErrors } from '@strata/shared/errors/anthropic.ts';
import { bedrockErrors } from '@strata/shared/errors/bedrock.ts';
import type { ErrorRenderer } from '@strata/shared/errors/error-renderer.ts';
import { geminiErrors } from '@strata/shared/errors/gemini.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';

/** In whose words to say that there is nothing at a path, or not for that method: by the path, and below `/v1` by the headers of the SDKs. */
export function errorsFor(path: string, headers: IncomingHttpHeaders): ErrorRenderer | undefined {
  const [, first, second] = path.split('/', 3);
  switch (first) {
    case 'v1beta':
      return geminiErrors;
    case 'model':
      return bedrockErrors;
    case 'v1':
      if (second === 'messages' || headers['anthropic-version'] !== undefined) return anthropicErrors;
      return headers['x-goog-api-key'] === undefined ? openaiErrors : geminiErrors;
    case 'v2':
      return openaiErrors;
    default:
      return undefined;
  }
}
