import type { Codec } from '../../domain/codec.ts';
import { decodeMessagesAnswer, openMessagesDecoder } from './decode-answer.ts';
import { decodeMessagesRequest } from './decode-request.ts';
import { encodeMessagesAnswer, MessagesStreamEncoder } from './encode-answer.ts';
import { encodeMessagesRequest } from './encode-request.ts';

export const messagesCodec: Codec = {
  streamType: 'text/event-stream',
  lacks: ['custom-tools', 'json-object'],
  decodeRequest: decodeMessagesRequest,
  encodeRequest: encodeMessagesRequest,
  openDecoder: openMessagesDecoder,
  decodeAnswer: decodeMessagesAnswer,
  openEncoder: context => new MessagesStreamEncoder(context),
  encodeAnswer: encodeMessagesAnswer,
};
