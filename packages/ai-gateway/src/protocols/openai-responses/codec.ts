import type { Codec } from '../../domain/codec.ts';
import { decodeResponsesAnswer, openResponsesDecoder } from './decode-answer.ts';
import { decodeResponsesRequest } from './decode-request.ts';
import { encodeResponsesAnswer, ResponsesStreamEncoder } from './encode-answer.ts';
import { encodeResponsesRequest } from './encode-request.ts';

export const responsesCodec: Codec = {
  streamType: 'text/event-stream',
  lacks: [],
  decodeRequest: decodeResponsesRequest,
  encodeRequest: encodeResponsesRequest,
  openDecoder: openResponsesDecoder,
  decodeAnswer: decodeResponsesAnswer,
  openEncoder: context => new ResponsesStreamEncoder(context),
  encodeAnswer: encodeResponsesAnswer,
};
