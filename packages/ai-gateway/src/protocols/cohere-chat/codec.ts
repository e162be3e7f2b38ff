import type { Codec } from '../../domain/codec.ts';
import { decodeCohereAnswer, openCohereDecoder } from './decode-answer.ts';
import { decodeCohereRequest } from './decode-request.ts';
import { CohereStreamEncoder, encodeCohereAnswer } from './encode-answer.ts';
import { encodeCohereRequest } from './encode-request.ts';

export const cohereCodec: Codec = {
  streamType: 'text/event-stream',
  lacks: ['custom-tools'],
  decodeRequest: decodeCohereRequest,
  encodeRequest: encodeCohereRequest,
  openDecoder: openCohereDecoder,
  decodeAnswer: decodeCohereAnswer,
  openEncoder: context => new CohereStreamEncoder(context),
  encodeAnswer: encodeCohereAnswer,
};
