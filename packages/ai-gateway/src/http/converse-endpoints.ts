import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { awsEventStreamType } from '@strata/shared/http/aws-event-stream.ts';
import type { DirectRequest, DirectRoute } from '@strata/shared/http/direct-request.ts';
import { isForClaude } from '../protocols/anthropic-hosted/as-messages.ts';
import { InvokeEvents } from '../protocols/anthropic-hosted/invoke-events.ts';
import { messagesByInvoke } from '../protocols/anthropic-hosted/messages-by-invoke.ts';
import { messagesCounting } from '../protocols/anthropic-messages/anthropic-messages.ts';
import { bedrockConverse } from '../protocols/bedrock-converse/bedrock-converse.ts';
import { bedrockInvoke } from '../protocols/bedrock-invoke/bedrock-invoke.ts';
import { asObject, asString, parseObject } from '../protocols/read-json.ts';
import { scanBody } from '../protocols/read-request.ts';
import { countHandler } from './count-endpoint.ts';
import { type HostedMessagesDeps, hostedMessagesHandler } from './hosted-messages-endpoints.ts';
import { type DirectServer, modelHandler, modelRoute } from './model-endpoint.ts';
import type { StreamShape } from './stream-reply.ts';

type Operation = 'converse' | 'converse-stream' | 'count-tokens' | 'invoke' | 'invoke-with-response-stream';

const path = '/model/*';

/** What the AWS SDKs call below `/model/{id}/`: Converse, InvokeModel, both streamed, and CountTokens. Ids may hold slashes. */
export function addConverseEndpoints(server: DirectServer, deps: HostedMessagesDeps): void {
  const asked = { path, protocol: bedrockConverse, readPath };
  const converse = modelHandler(asked, deps);
  const invoke = invokeHandler(deps);
  const handlers: Readonly<Record<Operation, DirectRoute['handle']>> = {
    converse,
    'converse-stream': converse,
    'count-tokens': countTokensHandler(deps),
    invoke,
    'invoke-with-response-stream': invoke,
  };
  server.addDirect({
    ...modelRoute(asked),
    mediaTypes: ['application/json', 'application/octet-stream'], // the latter is what the SDK says where its caller says nothing
    async handle(request) {
      const { '*': written = '' } = request.params;
      const slash = written.lastIndexOf('/');
      const operation = written.slice(slash + 1);
      if (slash <= 0 || !isOperation(operation)) throw unknownOperation(operation);
      await handlers[operation](request);
    },
  });

  function isOperation(name: string): name is Operation {
    return Object.hasOwn(handlers, name);
  }
}

/** A body for Claude is Messages and may be answered by any provider, all others by those that have InvokeModel. */
function invokeHandler(deps: HostedMessagesDeps): DirectRoute['handle'] {
  const { prepare } = deps;
  const messages = { path, protocol: messagesByInvoke, prepare, reshape: messagesShape };
  const claude = hostedMessagesHandler(modelHandler(messages, deps), readPath);
  const other = modelHandler({ path, protocol: bedrockInvoke, readPath, reshape: () => invokeShape() }, deps);
  return async request => {
    const scanned = scanBody(request.body);
    return isForClaude(scanned) ? claude(request, scanned) : other(request);
  };
}

function readPath(request: DirectRequest) {
  const { '*': written = '' } = request.params;
  const slash = written.lastIndexOf('/');
  return { model: written.slice(0, slash), isStream: written.slice(slash).endsWith('-stream') };
}

function unknownOperation(name: string): GatewayError {
  return new GatewayError('not_found', `'${name.slice(0, 64)}' is not an operation of a model.`, {
    reason: 'unknown_route',
  });
}

function messagesShape(): StreamShape {
  const events = new InvokeEvents();
  return {
    ...invokeShape(),
    write: bytes => events.push(typeof bytes === 'string' ? Buffer.from(bytes) : bytes),
  };
}

function invokeShape(): StreamShape {
  return {
    headers: {
      'content-type': awsEventStreamType,
      'x-amzn-bedrock-content-type': 'application/json',
      'cache-control': 'no-cache',
    },
    heartbeat: undefined,
    write: bytes => bytes,
    end: () => '',
  };
}

/**
 * What is counted is a request of Converse, or one of InvokeModel for Claude. @throws GatewayError invalid_request for prompts in the words of
 * another model: which they are, only Bedrock knows.
 */
function countTokensHandler(deps: HostedMessagesDeps): DirectRoute['handle'] {
  const converse = countHandler({ path, protocol: bedrockConverse, readPath }, deps);
  const counting = { ...messagesByInvoke, counting: { ...messagesCounting, render: bedrockCount } };
  const messages = countHandler({ path, protocol: counting, prepare: deps.prepare }, deps);
  const claude = hostedMessagesHandler(messages, readPath);
  return async request => {
    const input = asObject(parseObject(request.body)?.input);
    const asked = asObject(input?.converse);
    if (asked !== undefined) {
      request.body = Buffer.from(JSON.stringify(asked));
      return converse(request);
    }
    const body = Buffer.from(asString(asObject(input?.invokeModel)?.body) ?? '', 'base64');
    const scanned = body.length === 0 ? undefined : scanBody(body);
    if (scanned === undefined || !isForClaude(scanned)) throw notCountable();
    request.body = body;
    return claude(request, scanned);
  };
}

const bedrockCount = (inputTokens: number) => ({ inputTokens });

function notCountable(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'What is counted must be in `input.converse`, or be a body for Claude in `input.invokeModel`.',
    { reason: 'input_missing', param: 'input' },
  );
}
