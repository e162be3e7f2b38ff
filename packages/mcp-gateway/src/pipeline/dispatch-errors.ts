import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Request, Target } from './request.ts';

export function invalidParams(param: string, message: string): GatewayError {
  return new GatewayError('invalid_request', message, { reason: 'invalid_params', param });
}

/** Something of a server that is not there, or not for this caller: as if it had never been. */
export function unknownTarget({ frame }: Request, { exposedName }: Target): GatewayError {
  const [family = ''] = frame.method.split('/');
  if (family === 'tasks') return unknownTask();
  if (family === 'resources') return unknownResource(exposedName, 'uri');
  return unknownName(family === 'tools' ? 'tools' : 'prompts', exposedName);
}

export function unknownResource(uri: string, param: string): GatewayError {
  return new GatewayError('not_found', `There is no resource '${uri.slice(0, 200)}'.`, {
    reason: 'unknown_resource',
    param,
    details: { uri: uri.slice(0, 2000) },
  });
}

export function unknownName(kind: 'tools' | 'prompts', name: string): GatewayError {
  const shown = name.slice(0, 200);
  return kind === 'tools'
    ? new GatewayError('not_found', `There is no tool '${shown}'.`, { reason: 'unknown_tool', param: 'name' })
    : new GatewayError('not_found', `There is no prompt '${shown}'.`, {
        reason: 'unknown_prompt',
        param: 'name',
      });
}

export function unknownTask(): GatewayError {
  return new GatewayError('not_found', 'There is no such task.', { reason: 'unknown_task', param: 'taskId' });
}
