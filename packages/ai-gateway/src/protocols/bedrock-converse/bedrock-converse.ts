import { bedrockErrors } from '@strata/shared/errors/bedrock.ts';
import type { Protocol } from '../../domain/protocol.ts';
import { asNumber, asObject, asString, parseObject } from '../read-json.ts';
import { readPathRequest } from '../read-request.ts';
import { converseCodec } from './codec.ts';
import { converseProtocol } from './decode-request.ts';
import { formatException } from './encode-answer.ts';
import { errorCode, readErrorCodes } from './errors.ts';
import { ConverseStreamReader } from './stream-reader.ts';
import { readConverseUsage } from './usage.ts';

/** Members with the caller's own data. */
const content = new Set(['messages', 'system', 'toolConfig', 'requestMetadata', 'promptVariables']);

/** Bedrock Converse (spec/llm-protocols 6.5). The path names the model, so its bodies pass as they are. */
export const bedrockConverse: Protocol = {
  name: converseProtocol,
  operation: 'chat',
  requestHeaders: [],
  requestIdHeader: 'x-amzn-requestid',
  errorHeaders: ['x-amzn-errortype'],
  renderError: bedrockErrors,
  renderStreamError: formatException,
  readRequest: (body, path) => readPathRequest(body, path, content),
  writeRequest: request => request.body,
  readAnswer(bytes) {
    const body = parseObject(bytes);
    if (body === undefined) return { type: 'malformed' };
    if (body.output === undefined) return { type: 'error', codes: readErrorCodes(body) };
    const usage = asObject(body.usage);
    const report = usage && readConverseUsage(usage);
    return {
      type: 'answer',
      facts: {
        model: undefined,
        finishReason: asString(body.stopReason),
        report,
        serviceTier: asString(asObject(body.serviceTier)?.type),
      },
    };
  },
  readErrorCodes(body, headers) {
    const type = headers['x-amzn-errortype'];
    return typeof type === 'string' ? [errorCode(type)] : readErrorCodes(parseObject(body) ?? {});
  },
  openReader: () => new ConverseStreamReader(),
  codec: converseCodec,
  counting: {
    members: new Set(['messages', 'system', 'toolConfig', 'additionalModelRequestFields']),
    wrap: kept => ({ input: { converse: kept } }),
    read: body => asNumber(body.inputTokens),
    render: inputTokens => ({ inputTokens }),
  },
};
