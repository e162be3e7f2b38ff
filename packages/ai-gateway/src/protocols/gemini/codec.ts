import type { Codec } from '../../domain/codec.ts';
import { decodeGeminiAnswer, openGeminiDecoder } from './decode-answer.ts';
import { decodeGeminiRequest } from './decode-request.ts';
import { encodeGeminiAnswer, GeminiStreamEncoder } from './encode-answer.ts';
import { encodeGeminiRequest } from './encode-request.ts';

export const geminiCodec: Codec = {
  streamType: 'text/event-stream',
  lacks: ['custom-tools'],
  decodeRequest: decodeGeminiRequest,
  encodeRequest: encodeGeminiRequest,
  openDecoder: openGeminiDecoder,
  decodeAnswer: decodeGeminiAnswer,
  openEncoder: context => new GeminiStreamEncoder(context),
  encodeAnswer: encodeGeminiAnswer,
};
