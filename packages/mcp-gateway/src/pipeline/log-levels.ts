import { parseFrame, textParam } from '../wire/frame.ts';

/** RFC 5424, from the least severe. */
const levels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

export function isLogLevel(level: string): boolean {
  return levels.includes(level);
}

/** Whether a log message is at least as severe as what its client asked for; who asked for nothing gets nothing. */
export function isLogged(message: Buffer, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  const frame = parseFrame(message);
  const level = frame.kind === 'notification' ? textParam(frame, 'level') : undefined;
  return levels.indexOf(level ?? 'debug') >= levels.indexOf(wanted);
}

/** The one of two levels that lets more through. */
export function moreVerbose(a: string | undefined, b: string): string {
  return a !== undefined && levels.indexOf(a) <= levels.indexOf(b) ? a : b;
}
