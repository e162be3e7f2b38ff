import { awsEventStreamType } from '@strata/shared/http/aws-event-stream.ts';
import type { Codec } from '../../domain/codec.ts';
import { decodeConverseAnswer, openConverseDecoder } from './decode-answer.ts';
import { decodeConverseRequest } from './decode-request.ts';
import { ConverseStreamEncoder, encodeConverseAnswer } from './encode-answer.ts';
import { encodeConverseRequest } from './encode-request.ts';

export const converseCodec: Codec = {
  streamType: awsEventStreamType,
  lacks: ['custom-tools', 'json-object'],
  decodeRequest: decodeConverseRequest,
  encodeRequest: encodeConverseRequest,
  openDecoder: openConverseDecoder,
  decodeAnswer: decodeConverseAnswer,
  openEncoder: () => new ConverseStreamEncoder(),
  encodeAnswer: answer => encodeConverseAnswer(answer),
};
