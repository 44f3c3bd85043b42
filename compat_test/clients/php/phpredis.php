<?php
// Runs the checks of the client matrix with phpredis. Arguments: host and port.
declare(strict_types=1);

const PATIENCE = 20; // seconds

$failed = false;

class Failure extends Exception
{
}

function connect(): Redis
{
    global $argv;
    $c = new Redis();
    $c->connect($argv[1], (int) $argv[2]);
    $c->setOption(Redis::OPT_READ_TIMEOUT, PATIENCE);
    return $c;
}

function check(string $name, callable $run): void
{
    global $failed;
    try {
        $run();
        say("ok $name");
    } catch (Failure | RedisException $e) {
        $failed = true;
        say("not ok $name: " . strtr(substr($e->getMessage(), 0, 500), "\n", ' '));
    }
}

function say(string $line): void
{
    fwrite(STDOUT, $line . "\n");
}

function equal(mixed $got, mixed $want): void
{
    if ($got !== $want) {
        throw new Failure('got ' . substr(var_export($got, true), 0, 200) . ', want ' . substr(var_export($want, true), 0, 200));
    }
}

function eventually(callable $reached): void
{
    for ($end = time() + PATIENCE; !$reached(); usleep(10_000)) {
        if (time() > $end) {
            throw new Failure('not in time');
        }
    }
}

// PHP waits for one thing at a time: a process of its own waits for the other, and tells line by line through a pipe.
function elsewhere(callable $run): mixed
{
    [$here, $there] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
    stream_set_timeout($here, PATIENCE);
    $pid = pcntl_fork();
    if ($pid === 0) {
        try {
            $run(connect(), fn (mixed $told) => fwrite($there, base64_encode(serialize($told)) . "\n"));
        } finally {
            posix_kill(posix_getpid(), SIGKILL); // without PHP's end, which would close what it shares with its parent
        }
    }
    register_shutdown_function(fn () => posix_kill($pid, SIGKILL));
    fclose($there);
    return $here;
}

function told(mixed $process): mixed
{
    $line = fgets($process);
    if ($line === false) {
        throw new Failure('the other process told nothing');
    }
    return unserialize(base64_decode($line));
}

function listen(string $subscribe, string $topic): mixed
{
    return elsewhere(fn (Redis $c, callable $tell) => $c->$subscribe([$topic], fn (Redis $c, string ...$message) => $tell($message)));
}

function awaitListeners(Redis $c, string $channel): void
{
    eventually(fn () => $c->pubsub('numsub', [$channel])[$channel] === 1);
}

$c = connect();

check('connect', function () {
    $named = connect();
    $named->client('setname', 'matrix');
    $named->select(3);
    equal($named->echo('hello'), 'hello');
    $info = $named->rawCommand('CLIENT', 'INFO');
    equal([str_contains($info, ' name=matrix '), str_contains($info, ' db=3 ')], [true, true]);
    preg_match('/\bresp=(\d)/', $info, $resp);
    say('client phpredis ' . phpversion('redis') . " RESP$resp[1]");
});

check('load-balancing', function () use ($c) {
    equal($c->lPush('jobs', 'a', 'b', 'c'), 3);
    foreach (['a', 'b', 'c'] as $job) {
        equal($c->brPop('jobs', 1), ['jobs', $job]);
    }
    equal($c->lLen('jobs'), 0);
});

check('fan-out', function () use ($c) {
    $channel = listen('subscribe', 'news');
    $pattern = listen('psubscribe', 'n*');
    awaitListeners($c, 'news');
    eventually(fn () => $c->pubsub('numpat') === 1);
    equal($c->publish('news', 'hello'), 2);
    equal(told($channel), ['news', 'hello']);
    equal(told($pattern), ['n*', 'news', 'hello']);
});

// What a consumer gets: fields by ID.
function read(Redis $c, string $stream, string $group, string $consumer, int $count): array
{
    return $c->xReadGroup($group, $consumer, [$stream => '>'], $count)[$stream];
}

check('hybrid', function () use ($c) {
    foreach (['billing', 'shipping'] as $group) {
        equal($c->xGroup('CREATE', 'orders', $group, '$', true), true);
    }
    $id = $c->xAdd('orders', '*', ['item' => 'lamp']);
    foreach (['billing', 'shipping'] as $group) {
        equal(read($c, 'orders', $group, 'alice', 10), [$id => ['item' => 'lamp']]);
        equal($c->xAck('orders', $group, [$id]), 1);
        equal($c->xPending('orders', $group)[0], 0);
    }
});

check('pop-timeout', function () use ($c) {
    equal($c->brPop('none', 1), []); // this is how phpredis says that there was nothing
    equal($c->xReadGroup('billing', 'alice', ['orders' => '>'], 1, 100), []);
});

check('pop-served', function () use ($c) {
    $waiting = elsewhere(fn (Redis $c, callable $tell) => $tell($c->brPop('late', 0)));
    eventually(fn () => $c->info('clients')['blocked_clients'] == 1);
    $c->lPush('late', 'v');
    equal(told($waiting), ['late', 'v']);
});

check('redelivery', function () use ($c) {
    $c->xGroup('CREATE', 'work', 'team', '$', true);
    foreach (['1-0', '2-0'] as $id) {
        $c->xAdd('work', $id, ['item' => $id]);
    }
    $crashing = connect();
    equal(count(read($crashing, 'work', 'team', 'crashing', 2)), 2);
    $crashing->xAck('work', 'team', ['1-0']);
    $crashing->close();
    $left = $c->xPending('work', 'team', '-', '+', 9);
    equal(array_map(fn (array $p) => array_slice($p, 0, 2), $left), [['2-0', 'crashing']]);
    // This version has no method for XAUTOCLAIM.
    equal($c->rawCommand('XAUTOCLAIM', 'work', 'team', 'rescuer', 0, 0)[1], [['2-0', ['item', '2-0']]]);
    equal($c->xClaim('work', 'team', 'other', 0, ['2-0'], []), ['2-0' => ['item' => '2-0']]);
    equal($c->xAck('work', 'team', ['2-0']), 1);
    equal($c->xPending('work', 'team')[0], 0);
});

check('transaction', function () use ($c) {
    equal($c->multi()->rPush('tx', 'a', 'b')->lLen('tx')->exec(), [2, 2]);
});

check('watch', function () use ($c) {
    $c->watch('watched');
    connect()->rPush('watched', 'intruder');
    equal($c->multi()->rPush('watched', 'mine')->exec(), false);
    $c->watch('watched');
    equal($c->multi()->rPush('watched', 'mine')->exec(), [2]);
});

check('pipeline', function () use ($c) {
    $pipe = $c->pipeline();
    for ($i = 0; $i < 10_000; $i++) {
        $pipe->rPush('pipe', $i);
    }
    equal($pipe->exec(), range(1, 10_000));
    equal($c->lIndex('pipe', -1), '9999');
});

check('binary', function () use ($c) {
    $binary = str_repeat(implode('', array_map('chr', range(0, 255))), 4096);
    $key = substr($binary, 0, 256);
    $c->lPush($key, $binary);
    equal($c->rPop($key), $binary);
    $c->xAdd('blobs', '*', [$key => $binary]);
    equal(array_values($c->xRange('blobs', '-', '+')), [[$key => $binary]]);
    $listener = listen('subscribe', 'blobs');
    awaitListeners($c, 'blobs');
    $c->publish('blobs', $binary);
    equal(told($listener), ['blobs', $binary]);
});

check('error', function () use ($c) {
    equal($c->lPush('orders', 'v'), false);
    equal(rtrim($c->getLastError(), "\0"), 'WRONGTYPE Operation against a key holding the wrong kind of value');
    equal($c->ping(), true);
});

say('skip cache: the library has none');

// The library connects again by itself for commands; who listens subscribes again himself.
$subscriber = elsewhere(function (Redis $c, callable $tell) {
    for ($hear = fn (Redis $c, string ...$message) => $tell($message);; usleep(10_000)) {
        try {
            $c->subscribe(['after'], $hear);
        } catch (RedisException) {
            try {
                $c = connect();
            } catch (RedisException) {
                // The broker is not back yet.
            }
        }
    }
});

check('restart-data', function () use ($c) {
    awaitListeners($c, 'after');
    $c->lPush('kept', 'a', 'b');
    $c->xGroup('CREATE', 'kept-stream', 'team', '$', true);
    $c->xAdd('kept-stream', '1-0', ['item' => 'lamp']);
    equal(read($c, 'kept-stream', 'team', 'alice', 1), ['1-0' => ['item' => 'lamp']]);
    say('restart');
    fgets(STDIN);
    equal($c->brPop('kept', 1), ['kept', 'a']);
    equal($c->xPending('kept-stream', 'team')[0], 1);
    equal($c->xAck('kept-stream', 'team', ['1-0']), 1);
});

check('restart-subscription', function () use ($c, $subscriber) {
    awaitListeners($c, 'after');
    equal($c->publish('after', 'hello'), 1);
    equal(told($subscriber), ['after', 'hello']);
});

exit($failed ? 1 : 0);
