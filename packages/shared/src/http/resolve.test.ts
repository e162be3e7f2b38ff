import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { type DnsAnswer, type DnsQuestion, type DnsStub, startDnsStub } from '../testing/dns-stub.ts';
import { createManualClock, type ManualClock } from '../testing/manual-clock.ts';
import { createResolver, createServerLookup, type Resolve, systemLookup } from './resolve.ts';

const stubs: DnsStub[] = [];
afterEach(async () => {
  await Promise.all(stubs.splice(0).map(stub => stub.close()));
});

const four = { address: '1.1.1.1', family: 4 };
const six = { address: '2606:4700::1111', family: 6 };

async function start(answer: (question: DnsQuestion) => DnsAnswer): Promise<DnsStub> {
  const stub = await startDnsStub(answer);
  stubs.push(stub);
  return stub;
}

function resolverOn(stub: DnsStub, clock: ManualClock): Resolve {
  const lookUp = createServerLookup({ servers: [stub.server], timeoutMs: 200 });
  return createResolver({ clock, timeoutMs: 1000, freshMs: 5000, staleMs: 60_000, lookUp });
}

test('finds all addresses of both families', async () => {
  const stub = await start(() => ['1.1.1.1', '2606:4700::1111', '9.9.9.9']);
  const resolve = resolverOn(stub, createManualClock());
  expect(await resolve('up.test')).toEqual([four, { address: '9.9.9.9', family: 4 }, six]);
});

test('one family is an answer, whatever becomes of the other', async () => {
  const stub = await start(({ type }) => (type === 'A' ? ['1.1.1.1'] : 'servfail'));
  expect(await resolverOn(stub, createManualClock())('up.test')).toEqual([four]);
});

test('[F13] one lookup in flight a name, however many ask', async () => {
  const stub = await start(() => ['1.1.1.1']);
  const resolve = resolverOn(stub, createManualClock());
  await Promise.all(Array.from({ length: 50 }, () => resolve('up.test')));
  expect(stub.questions.map(question => question.type).sort()).toEqual(['A', 'AAAA']);
});

test('an answer is used for a moment, then asked for again', async () => {
  const stub = await start(({ times }) => [`1.1.1.${times}`]);
  const clock = createManualClock();
  const resolve = resolverOn(stub, clock);
  await resolve('up.test');
  await clock.advance(4999);
  expect(await resolve('up.test')).toEqual([four]);
  await clock.advance(1);
  expect(await resolve('up.test')).toEqual([{ address: '1.1.1.2', family: 4 }]);
});

test.each(['nxdomain', 'servfail', 'refused', 'silence'] as const)(
  '[F13] the last good answer serves for a minute while the name server says %s, and no longer',
  async failure => {
    const stub = await start(() => ['1.1.1.1']);
    const clock = createManualClock();
    const resolve = resolverOn(stub, clock);
    await resolve('up.test');
    stub.use(() => failure);
    await clock.advance(59_000);
    expect(await resolve('up.test')).toEqual([four]);
    const asked = stub.questions.length;
    expect(await resolve('up.test')).toEqual([four]);
    expect(stub.questions.length, 'a failing server is not asked for every connection').toBe(asked);
    await clock.advance(1000);
    await expect(resolve('up.test')).rejects.toMatchObject({
      kind: 'upstream_failed',
      reason: 'upstream_dns',
    });
    stub.use(() => ['1.1.1.1']);
    expect(await resolve('up.test')).toEqual([four]);
  },
);

test('a lookup that never ends is given up in time', async () => {
  const clock = createManualClock();
  const lookUp: Resolve = () => new Promise(() => {});
  const resolve = createResolver({ clock, timeoutMs: 1000, freshMs: 0, staleMs: 0, lookUp });
  const given = expect(resolve('up.test')).rejects.toMatchObject({ reason: 'upstream_dns' });
  await clock.pendingReached(1);
  await clock.advance(1000);
  await given;
});

test('names in flight are bounded', async () => {
  const lookUp: Resolve = () => new Promise(() => {});
  const clock = createManualClock();
  const resolve = createResolver({ clock, timeoutMs: 1000, freshMs: 0, staleMs: 0, lookUp });
  const waiting = Promise.allSettled(
    Array.from({ length: 256 }, (_, index) => resolve(`name-${index}.test`)),
  );
  await expect(resolve('one-too-many.test')).rejects.toMatchObject({ reason: 'upstream_dns_busy' });
  await clock.advance(1000);
  expect((await waiting).every(each => each.status === 'rejected')).toBe(true);
});

test('localhost is not a question for a name server', async () => {
  const stub = await start(() => ['6.6.6.6']);
  const lookUp = createServerLookup({ servers: [stub.server], timeoutMs: 200 });
  const local = (await systemLookup('localhost')).map(each => each.address);
  expect((await lookUp('LocalHost.')).map(each => each.address)).toEqual(local);
  expect(stub.questions).toEqual([]);
});

test('a time to wait is real time with the system clock', async () => {
  const lookUp: Resolve = () => new Promise(() => {});
  const resolve = createResolver({ clock: systemClock, timeoutMs: 20, freshMs: 0, staleMs: 0, lookUp });
  await expect(resolve('up.test')).rejects.toMatchObject({ reason: 'upstream_dns' });
});
