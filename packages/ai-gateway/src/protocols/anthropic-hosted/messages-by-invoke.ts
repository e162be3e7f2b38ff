import { bedrockErrors } from '@strata/shared/errors/bedrock.ts';
import type { Protocol } from '../../domain/protocol.ts';
import { anthropicMessages } from '../anthropic-messages/anthropic-messages.ts';

/** Messages for a client that calls them by InvokeModel, which reads errors as AWS says them. */
export const messagesByInvoke: Protocol = {
  ...anthropicMessages,
  requestIdHeader: 'x-amzn-requestid',
  renderError: bedrockErrors,
  hasOwnErrors: true,
};
