import { parseArgs } from 'node:util';
import { startSimulator } from './simulator.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4900' },
    host: { type: 'string', default: '127.0.0.1' },
    'ttft-ms': { type: 'string', default: '0' },
    'tokens-per-second': { type: 'string', default: 'Infinity' },
    model: { type: 'string', multiple: true, default: [] },
    key: { type: 'string', multiple: true },
    seed: { type: 'string' },
  },
});

const simulator = await startSimulator({
  port: Number(values.port),
  host: values.host,
  ttftMs: Number(values['ttft-ms']),
  tokensPerSecond: Number(values['tokens-per-second']),
  models: values.model,
  ...(values.key ? { keys: values.key } : {}),
  ...(values.seed === undefined ? {} : { seed: values.seed }),
});
// A parent that started it with a channel shows the address itself.
if (process.send === undefined) process.stdout.write(`Provider simulator ready at ${simulator.url}\n`);
else process.send({ type: 'ready', name: 'simulator', url: simulator.url });

const stop = () => {
  simulator.close().then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
};
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
// A child does not outlive the process that started it.
process.once('disconnect', stop);
