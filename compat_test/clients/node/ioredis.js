// Runs the checks of the client matrix with ioredis. Arguments: host and port.
import { Redis } from 'ioredis';
import { binary, check, client, equal, eventually, host, inbox, port, rejects, restart, skip } from './check.js';

function connect(options) {
  const c = new Redis({ host, port, ...options });
  c.on('error', () => {}); // the broker's restart
  return c;
}

const c = connect();

await check('connect', async () => {
  const named = connect({ connectionName: 'matrix', db: 3 });
  equal(await named.echo('hello'), 'hello');
  const info = await named.client('INFO');
  equal([info.includes(' name=matrix '), info.includes(' db=3 ')], [true, true]);
  client('ioredis', 'ioredis', info);
  equal(await named.quit(), 'OK');
});

await check('load-balancing', async () => {
  equal(await c.lpush('jobs', 'a', 'b', 'c'), 3);
  for (const job of ['a', 'b', 'c']) equal(await c.brpop('jobs', 1), ['jobs', job]);
  equal(await c.llen('jobs'), 0);
});

await check('fan-out', async () => {
  const [channel, pattern] = [connect(), connect()];
  const [heard, matched] = [inbox(), inbox()];
  channel.on('message', heard.put);
  pattern.on('pmessage', matched.put);
  equal(await channel.subscribe('news'), 1);
  equal(await pattern.psubscribe('n*'), 1);
  equal(await c.publish('news', 'hello'), 2);
  equal(await heard.next(), ['news', 'hello']);
  equal(await matched.next(), ['n*', 'news', 'hello']);
  channel.disconnect();
  pattern.disconnect();
});

// What a consumer gets, as [id, [field, value]].
async function read(c, key, group, consumer, count) {
  const [[, entries]] = await c.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'STREAMS', key, '>');
  return entries;
}

await check('hybrid', async () => {
  for (const group of ['billing', 'shipping']) await c.xgroup('CREATE', 'orders', group, '$', 'MKSTREAM');
  const id = await c.xadd('orders', '*', 'item', 'lamp');
  for (const group of ['billing', 'shipping']) {
    equal(await read(c, 'orders', group, 'alice', 10), [[id, ['item', 'lamp']]]);
    equal(await c.xack('orders', group, id), 1);
    equal((await c.xpending('orders', group))[0], 0);
  }
});

await check('pop-timeout', async () => {
  equal(await c.brpop('none', 0.1), null);
  equal(await c.xreadgroup('GROUP', 'billing', 'alice', 'BLOCK', 100, 'STREAMS', 'orders', '>'), null);
});

await check('pop-served', async () => {
  const waiting = connect();
  const popped = waiting.brpop('late', 0);
  await eventually(async () => (await c.info('clients')).includes('blocked_clients:1\r\n'));
  await c.lpush('late', 'v');
  equal(await popped, ['late', 'v']);
  await waiting.quit();
});

await check('redelivery', async () => {
  await c.xgroup('CREATE', 'work', 'team', '$', 'MKSTREAM');
  for (const id of ['1-0', '2-0']) await c.xadd('work', id, 'item', id);
  const crashing = connect();
  equal((await read(crashing, 'work', 'team', 'crashing', 2)).length, 2);
  await crashing.xack('work', 'team', '1-0');
  crashing.disconnect();
  const left = await c.xpending('work', 'team', '-', '+', 9);
  equal(left.map(([id, consumer]) => [id, consumer]), [['2-0', 'crashing']]);
  const [, messages] = await c.xautoclaim('work', 'team', 'rescuer', 0, '0');
  equal(messages, [['2-0', ['item', '2-0']]]);
  equal(await c.xclaim('work', 'team', 'other', 0, '2-0'), [['2-0', ['item', '2-0']]]);
  equal(await c.xack('work', 'team', '2-0'), 1);
  equal((await c.xpending('work', 'team'))[0], 0);
});

await check('transaction', async () => {
  equal(await c.multi().rpush('tx', 'a', 'b').llen('tx').exec(), [[null, 2], [null, 2]]);
});

await check('watch', async () => {
  const watching = connect();
  await watching.watch('watched');
  await c.rpush('watched', 'intruder');
  equal(await watching.multi().rpush('watched', 'mine').exec(), null);
  await watching.watch('watched');
  equal(await watching.multi().rpush('watched', 'mine').exec(), [[null, 2]]);
  await watching.quit();
});

await check('pipeline', async () => {
  const pipeline = c.pipeline();
  for (let i = 0; i < 10_000; i++) pipeline.rpush('pipe', i);
  equal(await pipeline.exec(), Array.from({ length: 10_000 }, (_, i) => [null, i + 1]));
  equal(await c.lindex('pipe', -1), '9999');
});

await check('binary', async () => {
  const key = binary.subarray(0, 256);
  await c.lpush(key, binary);
  equal(await c.rpopBuffer(key), binary);
  await c.xadd('blobs', '*', key, binary);
  equal((await c.xrangeBuffer('blobs', '-', '+'))[0][1], [key, binary]);
  const [sub, heard] = [connect(), inbox()];
  sub.on('messageBuffer', heard.put);
  await sub.subscribe('blobs');
  await c.publish('blobs', binary);
  equal((await heard.next())[1], binary);
  sub.disconnect();
});

await check('error', async () => {
  await rejects(c.lpush('orders', 'v'), 'WRONGTYPE Operation against a key holding the wrong kind of value');
  equal(await c.ping(), 'PONG');
});

skip('cache', 'the library has none');

const [sub, heard] = [connect(), inbox()];
sub.on('message', heard.put);
await sub.subscribe('after');

await check('restart-data', async () => {
  await c.lpush('kept', 'a', 'b');
  await c.xgroup('CREATE', 'kept-stream', 'team', '$', 'MKSTREAM');
  await c.xadd('kept-stream', '1-0', 'item', 'lamp');
  equal(await read(c, 'kept-stream', 'team', 'alice', 1), [['1-0', ['item', 'lamp']]]);
  await restart();
  equal(await c.brpop('kept', 1), ['kept', 'a']); // it waits in the library until the broker is back
  equal((await c.xpending('kept-stream', 'team'))[0], 1);
  equal(await c.xack('kept-stream', 'team', '1-0'), 1);
});

await check('restart-subscription', async () => {
  await eventually(async () => await c.publish('after', 'hello') === 1);
  equal(await heard.next(), ['after', 'hello']);
});

process.exit();
