import { milliseconds } from '@strata/shared/config/milliseconds.ts';
import * as z from 'zod';

const hourMs = 3_600_000;

export const conversations = z
  .strictObject({
    ttl_ms: z
      .int()
      .min(60_000)
      .max(366 * 86_400_000)
      .default(30 * 86_400_000)
      .describe(
        'For how long an answer of the Responses API can be read and gone on from, and a conversation that nobody uses.',
      ),
    event_ttl_ms: z
      .int()
      .min(60_000)
      .max(366 * 86_400_000)
      .default(86_400_000)
      .describe('For how long the events of an answer in the background can be streamed again.'),
    max_background: z
      .int()
      .min(0)
      .max(100_000)
      .default(100)
      .describe('Answers that may be made in the background at once for one principal; 0 refuses them.'),
    max_conversations: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(10_000)
      .describe('Conversations that are kept for one principal at once; 0 refuses them.'),
  })
  .prefault({})
  .describe('Answers that are kept, are made in the background, or belong to a conversation.');

export const realtime = z
  .strictObject({
    max_message_bytes: z
      .int()
      .min(1024)
      .max(256 * 1024 * 1024)
      .default(16 * 1024 * 1024)
      .describe('Largest event of a session, in either direction.'),
    transcription_model: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The model, by its name in `models`, at which sessions with `intent=transcription` are opened that name none in their address.',
      ),
    handshake_timeout_ms: milliseconds(30_000, { max: hourMs }).describe(
      'Time for a provider to accept a session.',
    ),
    max_session_ms: milliseconds(3_600_000, { max: 86_400_000 }).describe('How long a session may last.'),
    idle_timeout_ms: milliseconds(300_000, { max: hourMs }).describe(
      'How long a session may go on in which neither side says anything or answers a ping.',
    ),
  })
  .prefault({})
  .describe('Sessions of the Realtime API.');
