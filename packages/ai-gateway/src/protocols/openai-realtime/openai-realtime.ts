import { openaiErrors } from '@strata/shared/errors/openai.ts';
import { raw } from '../same-protocol/raw.ts';

/** OpenAI's Realtime API: events over WebSocket, relayed as they are. Only its names are needed here; nothing of it is read as HTTP. */
export const openaiRealtime = {
  ...raw,
  name: 'openai-realtime',
  operation: 'realtime',
  renderError: openaiErrors,
};
