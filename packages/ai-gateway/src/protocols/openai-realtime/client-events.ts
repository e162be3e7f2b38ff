import type { JsonObject } from '../../domain/json-object.ts';
import type { ModelRequest } from '../../domain/protocol.ts';
import { asObject, parseObject } from '../read-json.ts';

/** `?intent=transcription`: a session that writes down what is said and answers nothing. */
export const transcriptionIntent = 'transcription';

/** The query of a session stands where other protocols have their body. */
export function isTranscription({ body }: ModelRequest): boolean {
  return new URLSearchParams(body.toString()).get('intent') === transcriptionIntent;
}

const updates = ['"session.update"', '"transcription_session.update"'];

/** An event of the client in which the model that writes down is called as the provider calls it, where the client used the gateway's name. */
export function nameTranscriber(data: Buffer, names: { alias: string; model: string }): Buffer {
  if (names.alias === names.model || !updates.some(each => data.includes(each))) return data;
  const event = parseObject(data);
  const session = asObject(event?.session);
  const transcription =
    asObject(asObject(asObject(session?.audio)?.input)?.transcription) ??
    asObject(session?.input_audio_transcription);
  if (transcription?.model !== names.alias) return data;
  (transcription as Writable<JsonObject>).model = names.model; // parsed here, so nobody else holds it
  return Buffer.from(JSON.stringify(event));
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };
