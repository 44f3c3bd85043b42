// Runs the checks of the client matrix with node-redis. Arguments: host and port.
import { BasicClientSideCache, RESP_TYPES, WatchError, createClient } from 'redis';
import { binary, check, client, equal, eventually, host, inbox, port, rejects, restart } from './check.js';

async function connect(options) {
  const c = createClient({ socket: { host, port }, ...options });
  c.on('error', () => {}); // the broker's restart
  return c.connect();
}

const c = await connect();

await check('connect', async () => {
  const named = await connect({ name: 'matrix', database: 3 });
  equal(await named.echo('hello'), 'hello');
  const info = await named.sendCommand(['CLIENT', 'INFO']);
  equal([info.includes(' name=matrix '), info.includes(' db=3 ')], [true, true]);
  client('node-redis', 'redis', info);
  await named.close();
});

await check('load-balancing', async () => {
  equal(await c.lPush('jobs', ['a', 'b', 'c']), 3);
  for (const element of ['a', 'b', 'c']) equal({ ...await c.brPop('jobs', 1) }, { key: 'jobs', element });
  equal(await c.lLen('jobs'), 0);
});

await check('fan-out', async () => {
  const [channel, pattern] = [await connect(), await connect()];
  const [heard, matched] = [inbox(), inbox()];
  await channel.subscribe('news', heard.put);
  await pattern.pSubscribe('n*', matched.put);
  equal(await c.publish('news', 'hello'), 2);
  equal(await heard.next(), ['hello', 'news']);
  equal(await matched.next(), ['hello', 'news']);
  channel.destroy();
  pattern.destroy();
});

// What a consumer gets, as [id, fields].
async function read(c, key, group, consumer, COUNT) {
  const [stream] = await c.xReadGroup(group, consumer, { key, id: '>' }, { COUNT });
  return stream.messages.map(({ id, message }) => [id, { ...message }]);
}

await check('hybrid', async () => {
  for (const group of ['billing', 'shipping']) await c.xGroupCreate('orders', group, '$', { MKSTREAM: true });
  const id = await c.xAdd('orders', '*', { item: 'lamp' });
  for (const group of ['billing', 'shipping']) {
    equal(await read(c, 'orders', group, 'alice', 10), [[id, { item: 'lamp' }]]);
    equal(await c.xAck('orders', group, id), 1);
    equal((await c.xPending('orders', group)).pending, 0);
  }
});

await check('pop-timeout', async () => {
  equal(await c.brPop('none', 0.1), null);
  equal(await c.xReadGroup('billing', 'alice', { key: 'orders', id: '>' }, { BLOCK: 100 }), null);
});

await check('pop-served', async () => {
  const waiting = await connect();
  const popped = waiting.brPop('late', 0);
  await eventually(async () => (await c.info('clients')).includes('blocked_clients:1\r\n'));
  await c.lPush('late', 'v');
  equal({ ...await popped }, { key: 'late', element: 'v' });
  await waiting.close();
});

await check('redelivery', async () => {
  await c.xGroupCreate('work', 'team', '$', { MKSTREAM: true });
  for (const item of ['1-0', '2-0']) await c.xAdd('work', item, { item });
  const crashing = await connect();
  equal((await read(crashing, 'work', 'team', 'crashing', 2)).length, 2);
  await crashing.xAck('work', 'team', '1-0');
  crashing.destroy();
  const left = await c.xPendingRange('work', 'team', '-', '+', 9);
  equal(left.map(({ id, consumer }) => [id, consumer]), [['2-0', 'crashing']]);
  const { messages } = await c.xAutoClaim('work', 'team', 'rescuer', 0, '0');
  equal(messages.map(({ id, message }) => [id, { ...message }]), [['2-0', { item: '2-0' }]]);
  equal((await c.xClaim('work', 'team', 'other', 0, '2-0')).map(({ id }) => id), ['2-0']);
  equal(await c.xAck('work', 'team', '2-0'), 1);
  equal((await c.xPending('work', 'team')).pending, 0);
});

await check('transaction', async () => {
  equal(await c.multi().rPush('tx', ['a', 'b']).lLen('tx').exec(), [2, 2]);
});

await check('watch', async () => {
  const watching = await connect();
  await watching.watch('watched');
  await c.rPush('watched', 'intruder');
  const error = await watching.multi().rPush('watched', 'mine').exec().catch((e) => e);
  equal(error instanceof WatchError, true);
  await watching.watch('watched');
  equal(await watching.multi().rPush('watched', 'mine').exec(), [2]);
  await watching.close();
});

await check('pipeline', async () => {
  const replies = await Promise.all(Array.from({ length: 10_000 }, (_, i) => c.rPush('pipe', String(i))));
  equal(replies, Array.from({ length: 10_000 }, (_, i) => i + 1));
  equal(await c.lIndex('pipe', -1), '9999');
});

await check('binary', async () => {
  const raw = c.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const key = binary.subarray(0, 256);
  await raw.lPush(key, binary);
  equal(await raw.rPop(key), binary);
  await raw.sendCommand(['XADD', 'blobs', '*', key, binary]);
  equal((await raw.sendCommand(['XRANGE', 'blobs', '-', '+']))[0][1], [key, binary]);
  const [sub, heard] = [await connect(), inbox()];
  await sub.subscribe('blobs', heard.put, true);
  await c.publish('blobs', binary);
  equal((await heard.next())[0], binary);
  sub.destroy();
});

await check('error', async () => {
  await rejects(c.lPush('orders', 'v'), 'WRONGTYPE Operation against a key holding the wrong kind of value');
  equal(await c.ping(), 'PONG');
});

await check('cache', async () => {
  const cache = new BasicClientSideCache();
  const caching = await connect({ clientSideCache: cache });
  await c.rPush('cached', 'a');
  for (let i = 0; i < 2; i++) equal(await caching.lRange('cached', 0, -1), ['a']);
  equal(cache.stats().hitCount, 1);
  await c.rPush('cached', 'b');
  await eventually(async () => (await caching.lRange('cached', 0, -1)).length === 2);
  await caching.close();
});

const [sub, heard] = [await connect(), inbox()];
await sub.subscribe('after', heard.put);

await check('restart-data', async () => {
  await c.lPush('kept', ['a', 'b']);
  await c.xGroupCreate('kept-stream', 'team', '$', { MKSTREAM: true });
  await c.xAdd('kept-stream', '1-0', { item: 'lamp' });
  equal(await read(c, 'kept-stream', 'team', 'alice', 1), [['1-0', { item: 'lamp' }]]);
  await restart();
  await eventually(() => c.isReady);
  equal((await c.brPop('kept', 1)).element, 'a');
  equal((await c.xPending('kept-stream', 'team')).pending, 1);
  equal(await c.xAck('kept-stream', 'team', '1-0'), 1);
});

await check('restart-subscription', async () => {
  await eventually(async () => await c.publish('after', 'hello') === 1);
  equal(await heard.next(), ['hello', 'after']);
});

process.exit();
