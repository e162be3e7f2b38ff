import type { Command } from '../../src/domain/command.ts';
import type { RunEvent } from '../../src/domain/run-events.ts';

/** Whether a run that was told `command` may have written `event` next. */
export function mayFollow(command: Command, event: RunEvent): boolean {
  switch (command.type) {
    case 'begin':
      return (
        (event.type === 'task-started' || event.type === 'task-skipped') &&
        event.path === command.node.path &&
        event.visit === command.visit
      );
    case 'complete':
      return (
        event.type === 'task-completed' &&
        event.path === command.task.node.path &&
        event.visit === command.task.visit
      );
    case 'call':
      return event.type === 'call-started' && event.path === command.task.path;
    case 'open':
      return event.type.startsWith('branch-');
    case 'spawn':
      return event.type === 'child-started';
    case 'reserve':
      return event.type === 'tasks-reserved' || event.type === 'run-paused';
    case 'match':
      return event.type === 'event-taken' || event.type === 'event-passed';
    case 'record':
      return command.events[0]?.type === event.type;
    case 'wait':
      // What a call gave comes when it comes.
      return event.type.startsWith('call-');
    case 'stop':
      return false;
  }
}
