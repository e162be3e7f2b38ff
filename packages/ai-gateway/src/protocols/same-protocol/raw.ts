import { problemErrors } from '@strata/shared/errors/problem.ts';
import { findForm, formBody } from '../../domain/form.ts';
import {
  type ModelRequest,
  maxMediaEventBytes,
  type PathRequest,
  type Protocol,
} from '../../domain/protocol.ts';
import { readErrorCodes } from '../openai-chat/errors.ts';
import { asString, parseObject } from '../read-json.ts';
import { AnyStreamReader } from './any-stream-reader.ts';
import { readAnyUsage } from './read-any-usage.ts';

/** Whatever a provider offers, byte for byte: nothing of it is read but the model and the usage, for the price. */
export const raw: Protocol = {
  name: 'raw',
  operation: 'passthrough',
  requestHeaders: ['content-type', 'accept', 'openai-beta', 'anthropic-version', 'anthropic-beta'],
  requestIdHeader: 'x-request-id',
  maxEventBytes: maxMediaEventBytes,
  reachesAll: true,
  renderError: problemErrors,
  renderStreamError: () => '',
  readRequest,
  writeRequest: request => request.body,
  writeForm: form => formBody(form, []),
  readAnswer(bytes) {
    const body = parseObject(bytes);
    const report = body && readAnyUsage(body);
    return { type: 'answer', facts: { model: asString(body?.model), finishReason: undefined, report } };
  },
  readErrorCodes: body => readErrorCodes(parseObject(body) ?? {}),
  openReader: () => new AnyStreamReader({ passesErrors: true }),
};

function readRequest(body: Buffer, path: PathRequest | undefined): ModelRequest {
  const form = findForm(body);
  return {
    body,
    scanned: { members: [], inside: 0 },
    model: path?.model ?? '',
    isStream: path?.isStream ?? false,
    wantsStreamUsage: true,
    ...(form && { form }),
  };
}
