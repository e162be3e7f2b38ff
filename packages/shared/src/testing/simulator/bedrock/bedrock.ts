import { ApiError, type ApiRequest, checkKey, headerOf, jsonReply, type Protocol } from '../http/protocol.ts';
import { converse, converseStream } from './converse.ts';
import { bedrockHeaders, errorType } from './errors.ts';
import { invokeModel, invokeModelWithResponseStream } from './invoke.ts';

const path = (operation: string) => new RegExp(`^\\/model\\/([^/]+)\\/${operation}$`);

/** Bedrock's runtime API as `@aws-sdk/client-bedrock-runtime` speaks it, at `/bedrock`. */
export const bedrock: Protocol = {
  name: 'bedrock',
  base: '/bedrock',
  operations: [
    { name: 'converse', method: 'POST', pattern: path('converse'), handle: converse },
    { name: 'converse-stream', method: 'POST', pattern: path('converse-stream'), handle: converseStream },
    { name: 'invoke', method: 'POST', pattern: path('invoke'), handle: invokeModel },
    {
      name: 'invoke-stream',
      method: 'POST',
      pattern: path('invoke-with-response-stream'),
      handle: invokeModelWithResponseStream,
    },
  ],
  authenticate: (request, accepted) => {
    checkKey(keyOf(request), accepted, {
      missing: () =>
        new ApiError(403, 'Missing Authentication Token', { code: 'MissingAuthenticationTokenException' }),
      wrong: () =>
        new ApiError(403, 'The security token included in the request is invalid.', {
          code: 'UnrecognizedClientException',
        }),
    });
  },
  unknownPath: () => new ApiError(404, 'Unknown operation', { code: 'UnknownOperationException' }),
  renderError: (error, desk) =>
    jsonReply(
      { message: error.message },
      {
        ...bedrockHeaders(desk),
        'x-amzn-errortype': error.code ?? errorType(error.status),
        ...(error.retryAfter === undefined ? {} : { 'retry-after': error.retryAfter }),
      },
      { status: error.status },
    ),
};

const signaturePattern =
  /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/\d{8}\/[a-z0-9-]+\/bedrock\/aws4_request,\s*SignedHeaders=([a-z0-9:;-]+),\s*Signature=[0-9a-f]{64}$/;

/**
 * The access key of a request that is signed, or its Bedrock API key. The form of a signature is checked and not its value:
 * the simulator knows no secret.
 */
function keyOf(request: ApiRequest): string | undefined {
  const header = headerOf(request.headers, 'authorization');
  if (header === undefined) return undefined;
  const bearer = /^Bearer\s+(\S+)$/i.exec(header)?.[1];
  if (bearer !== undefined) return bearer;
  const [, accessKey, signedHeaders = ''] = signaturePattern.exec(header) ?? [];
  const signed = signedHeaders.split(';');
  const isDated = /^\d{8}T\d{6}Z$/.test(headerOf(request.headers, 'x-amz-date') ?? '');
  // Over HTTP/2 the host is called `:authority`, and signed under that name.
  const namesHost = signed.includes('host') || signed.includes(':authority');
  if (accessKey === undefined || !isDated || !namesHost || !signed.includes('x-amz-date'))
    throw new ApiError(403, 'The request signature is incomplete.', { code: 'IncompleteSignatureException' });
  return accessKey;
}
