import type { Codec } from '../../domain/codec.ts';
import { decodeChatAnswer, openChatDecoder } from './decode-answer.ts';
import { decodeChatRequest } from './decode-request.ts';
import { ChatStreamEncoder, encodeChatAnswer } from './encode-answer.ts';
import { encodeChatRequest } from './encode-request.ts';

export const chatCodec: Codec = {
  streamType: 'text/event-stream',
  lacks: [],
  decodeRequest: decodeChatRequest,
  encodeRequest: encodeChatRequest,
  openDecoder: openChatDecoder,
  decodeAnswer: decodeChatAnswer,
  openEncoder: context => new ChatStreamEncoder(context),
  encodeAnswer: encodeChatAnswer,
};
