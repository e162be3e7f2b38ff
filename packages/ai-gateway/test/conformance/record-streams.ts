import { AwsEventReader } from '@strata/shared/http/aws-event-stream.ts';
import { startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { post } from '../harness.ts';
import { startMatrixGateway } from './matrix-gateway.ts';
import { ingresses } from './requests.ts';
import { upstreams } from './upstreams.ts';

export interface RecordedStream {
  readonly bytes: Buffer;
  readonly contentType: string;
}

/** What the simulator streams for `prompt`, by upstream: each request of the gateway's own is sent again, without the gateway. */
export async function recordStreams(prompt: string): Promise<ReadonlyMap<string, RecordedStream>> {
  const recordings = new Map<string, RecordedStream>();
  const simulator = await startSimulator({ keys: ['sk-provider'] });
  const recorder = await startMatrixGateway(simulator);
  for (const { name } of upstreams) {
    const client = ingresses.find(each => each.protocol !== name);
    if (client === undefined) throw new Error('no ingress');
    const model = `${name}-thinking`;
    await post(recorder, client.path(model), client.body(model, prompt));
    const asked = simulator.requests.at(-1);
    if (asked === undefined) throw new Error('nothing was asked');
    const headers = Object.entries(asked.headers).flatMap(([key, value]) =>
      typeof value === 'string' && !['host', 'connection', 'content-length'].includes(key)
        ? [[key, value] as const]
        : [],
    );
    const answer = await fetch(`${simulator.url}${asked.path}`, {
      method: 'POST',
      headers: Object.fromEntries(headers),
      body: asked.body,
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    recordings.set(name, { bytes, contentType: answer.headers.get('content-type') ?? '' });
  }
  await recorder.close();
  await simulator.close();
  return recordings;
}

/** The events of a recording as they are on the wire. */
export function eventsOf({ bytes, contentType }: RecordedStream): Buffer[] {
  if (!contentType.startsWith('text/event-stream'))
    return new AwsEventReader().push(bytes).map(event => Buffer.from(event.bytes));
  return bytes
    .toString('latin1')
    .split(/(?<=\n\r?\n)/)
    .map(event => Buffer.from(event, 'latin1'));
}
