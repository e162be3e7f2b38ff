import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { Secret } from '@strata/shared/secret.ts';

/**
 * Ids of tasks as clients know them: they say which server has the task, and are good for the principal they were made for and nobody
 * else. They are the same each time, so that a client recognises its task, and need no store, so that any replica can read them.
 */
export interface TaskIds {
  expose(owner: string, server: string, taskId: string): string;
  /** `undefined` for an id that was not made for this owner. */
  resolve(owner: string, exposed: string): { readonly server: string; readonly taskId: string } | undefined;
}

const macLength = 22; // 132 bits
const maxLength = 4096;
/** Names of servers hold no dot. */
const form = /^([^.]+)\.([A-Za-z0-9_-]{22})\.(.*)$/s;

/** Gateways with the same secret know one another's ids. */
export function createTaskIds(secret: Secret): TaskIds {
  const key = Buffer.from(hkdfSync('sha256', secret.reveal(), '', 'strata mcp-gateway task ids', 32));
  const macOf = (owner: string, server: string, taskId: string) =>
    createHmac('sha256', key)
      .update(JSON.stringify([owner, server, taskId]))
      .digest('base64url')
      .slice(0, macLength);
  return {
    expose: (owner, server, taskId) => `${server}.${macOf(owner, server, taskId)}.${taskId}`,
    resolve(owner, exposed) {
      const match = exposed.length <= maxLength ? form.exec(exposed) : null;
      if (!match) return undefined;
      const [, server = '', mac = '', taskId = ''] = match;
      const isOurs = timingSafeEqual(Buffer.from(mac), Buffer.from(macOf(owner, server, taskId)));
      return isOurs ? { server, taskId } : undefined;
    },
  };
}
