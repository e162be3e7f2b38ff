import { AwsEventReader, awsEventStreamType } from '@strata/shared/http/aws-event-stream.ts';
import type { Codec, StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { NeutralRequest } from '../../domain/neutral-request.ts';
import type { Protocol } from '../../domain/protocol.ts';
import { anthropicMessages } from '../anthropic-messages/anthropic-messages.ts';
import { messagesCodec } from '../anthropic-messages/codec.ts';
import { MessagesReader } from '../anthropic-messages/decode-answer.ts';
import { bedrockConverse } from '../bedrock-converse/bedrock-converse.ts';
import { errorCode } from '../bedrock-converse/errors.ts';
import { asString, parseObject } from '../read-json.ts';

/** Messages as other clouds host them: the path names the model, the body the version. */
function hostedCodec(version: string, more: Partial<Codec> & { keepsStream: boolean }): Codec {
  const { keepsStream, ...overrides } = more;
  return {
    ...messagesCodec,
    encodeRequest(request, target, losses) {
      const { model: _model, stream, ...body } = messagesCodec.encodeRequest(request, target, losses);
      return { anthropic_version: version, ...body, ...(keepsStream && stream === true && { stream }) };
    },
    ...overrides,
  };
}

/** Claude on Vertex AI (`rawPredict`, `streamRawPredict`). */
export const anthropicVertex: Protocol = {
  ...anthropicMessages,
  name: 'anthropic-vertex',
  codec: hostedCodec('vertex-2023-10-16', { keepsStream: true }),
};

/** Claude by Bedrock's InvokeModel: the same events, each in base64 inside a binary message. */
export const anthropicBedrock: Protocol = {
  ...anthropicMessages,
  name: 'anthropic-bedrock',
  readErrorCodes: bedrockConverse.readErrorCodes,
  codec: hostedCodec('bedrock-2023-05-31', {
    keepsStream: false,
    streamType: awsEventStreamType,
    openDecoder: openInvokeDecoder,
  }),
};

function openInvokeDecoder(request: NeutralRequest): StreamDecoder {
  const frames = new AwsEventReader();
  const reader = new MessagesReader(request);
  return {
    push: chunk =>
      frames.push(chunk).flatMap(({ messageType, type, payload }) => {
        if (messageType !== 'event') return [{ type: 'error', codes: [errorCode(type)] } as const];
        const event = nativeEvent(payload);
        return event === undefined ? [] : reader.read(event);
      }),
    end() {
      frames.end();
      return [];
    },
  };
}

function nativeEvent(payload: Buffer): JsonObject | undefined {
  const bytes = asString(parseObject(payload)?.bytes);
  return bytes === undefined ? undefined : parseObject(Buffer.from(bytes, 'base64'));
}
