import { AwsEventReader, awsEventStreamType } from '@strata/shared/http/aws-event-stream.ts';
import { splice } from '@strata/shared/json/splice.ts';
import type { Codec, StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { ScannedObject } from '../../domain/json-scan.ts';
import { lastMember, valueAt } from '../../domain/json-scan.ts';
import { removeMembers, setMember } from '../../domain/json-splice.ts';
import type { NeutralRequest } from '../../domain/neutral-request.ts';
import type { Protocol } from '../../domain/protocol.ts';
import { anthropicMessages, messagesCounting } from '../anthropic-messages/anthropic-messages.ts';
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
  hosts: anthropicMessages.name,
  writeRequest: ({ body, scanned }) =>
    asHosted(body, scanned, { version: 'vertex-2023-10-16', without: ['model'] }),
  codec: hostedCodec('vertex-2023-10-16', { keepsStream: true }),
  counting: {
    ...messagesCounting,
    // The path names no model here.
    wrap: (kept, model) => ({ anthropic_version: 'vertex-2023-10-16', ...kept, model }),
  },
};

/** Claude by Bedrock's InvokeModel: the same events, each in base64 inside a binary message. */
export const anthropicBedrock: Protocol = {
  ...anthropicMessages,
  name: 'anthropic-bedrock',
  hosts: anthropicMessages.name,
  requestHeaders: [], // AWS has no place for them
  writeRequest: ({ body, scanned }, { anthropicBeta }) =>
    asHosted(body, scanned, {
      version: 'bedrock-2023-05-31',
      without: ['model', 'stream'],
      betas: betasOf(anthropicBeta, valueAt(body, lastMember(scanned, 'anthropic_beta'))),
    }),
  openUnwrapper,
  readErrorCodes: bedrockConverse.readErrorCodes,
  codec: hostedCodec('bedrock-2023-05-31', {
    keepsStream: false,
    streamType: awsEventStreamType,
    openDecoder: openInvokeDecoder,
  }),
};

/** Those of the header behind those that the client wrote into the body itself; undefined when the header adds none. */
function betasOf(header = '', written: unknown): readonly unknown[] | undefined {
  const own: readonly unknown[] = Array.isArray(written) ? written : [];
  const asked = header.split(',').map(name => name.trim());
  const more = asked.filter(name => name !== '' && !own.includes(name));
  return more.length === 0 ? undefined : [...own, ...new Set(more)];
}

/** The client's bytes without what the path says, and with the version, unless the client wrote one itself. */
function asHosted(
  body: Buffer,
  scanned: ScannedObject,
  {
    version,
    without,
    betas,
  }: { version: string; without: readonly string[]; betas?: readonly unknown[] | undefined },
): Buffer {
  const edits = removeMembers(body, scanned, new Set(without));
  const isWritten = lastMember(scanned, 'anthropic_beta') !== undefined;
  if (betas !== undefined && isWritten)
    edits.push(...setMember(scanned, 'anthropic_beta', JSON.stringify(betas)));
  const known = lastMember(scanned, 'anthropic_version');
  const isEmpty = scanned.members.every(member => without.includes(member.key));
  const members = [
    ...(known === undefined ? [`"anthropic_version":${JSON.stringify(version)}`] : []),
    ...(betas === undefined || isWritten ? [] : [`"anthropic_beta":${JSON.stringify(betas)}`]),
  ];
  if (members.length > 0) {
    const text = `${members.join(',')}${isEmpty ? '' : ','}`;
    edits.push({ start: scanned.inside, end: scanned.inside, text });
  }
  return splice(body, edits);
}

/** Each message holds one native event, which becomes the server-sent event that Anthropic itself would have written. */
function openUnwrapper() {
  const frames = new AwsEventReader();
  return {
    push: (chunk: Buffer) =>
      Buffer.concat(
        frames.push(chunk).map(({ messageType, type, payload }) => {
          if (messageType !== 'event') return sseEvent('error', errorEvent(errorCode(type)));
          const bytes = asString(parseObject(payload)?.bytes);
          if (bytes === undefined) return Buffer.alloc(0);
          const json = Buffer.from(bytes, 'base64');
          return sseEvent(asString(parseObject(json)?.type) ?? 'message', json);
        }),
      ),
    end: () => frames.end(),
  };
}

function sseEvent(name: string, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`event: ${name}\ndata: `), data, Buffer.from('\n\n')]);
}

function errorEvent(code: string): Buffer {
  const message = 'The provider reported an error inside its stream.';
  return Buffer.from(JSON.stringify({ type: 'error', error: { type: code, message } }));
}

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
