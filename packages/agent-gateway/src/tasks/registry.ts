import type { TaskType, TaskTypes } from '../domain/task-type.ts';
import { callAgentTask } from './call-agent/index.ts';
import { callHttpTask } from './call-http/index.ts';
import { callHumanTask } from './call-human/index.ts';
import { callLlmTask } from './call-llm/index.ts';
import { callMcpTask } from './call-mcp/index.ts';
import { callOpenapiTask } from './call-openapi/index.ts';
import { doTask } from './do/index.ts';
import { emitTask } from './emit/index.ts';
import { extendedTask } from './extended/index.ts';
import { forTask } from './for/index.ts';
import { forkTask } from './fork/index.ts';
import { listenTask } from './listen/index.ts';
import { raiseTask } from './raise/index.ts';
import { runTask } from './run/index.ts';
import { setTask } from './set/index.ts';
import { switchTask } from './switch/index.ts';
import { tryTask } from './try/index.ts';
import { waitTask } from './wait/index.ts';

const all: readonly TaskType[] = [
  callAgentTask,
  callHttpTask,
  callHumanTask,
  callLlmTask,
  callMcpTask,
  callOpenapiTask,
  doTask,
  emitTask,
  extendedTask,
  forTask,
  forkTask,
  listenTask,
  raiseTask,
  runTask,
  setTask,
  switchTask,
  tryTask,
  waitTask,
];

/** Every task type by its name. Adding one is a folder and a line here. */
export const taskTypes: TaskTypes = new Map(all.map(type => [type.type, type]));
