"""Runs the checks of the client matrix with redis-py. Arguments: host and port."""

import os
import sys
import threading
import time

import redis

PATIENCE = 20  # seconds
HOST, PORT = sys.argv[1], int(sys.argv[2])
BINARY = bytes(range(256)) * 4096
failed = False


def connect(**options):
    options = {"decode_responses": True, "socket_timeout": PATIENCE, **options}
    return redis.Redis(HOST, PORT, **options)


def check(name):
    """Runs the function below and prints its line."""

    def run(function):
        global failed
        try:
            function()
            print("ok", name, flush=True)
        except (AssertionError, redis.RedisError) as error:
            failed = True
            print(f"not ok {name}: {error!r:.500}", flush=True)

    return run


def equal(got, want):
    assert got == want, f"got {got!r:.200}, want {want!r:.200}"


def eventually(reached):
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)


def next_message(sub):
    """The next message proper, without confirmations."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            message = sub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        except redis.ConnectionError:
            continue  # told once; the next call connects and subscribes anew
        if message is not None:
            return message
    raise AssertionError("no message in time")


c = connect()


@check("connect")
def _():
    named = connect(client_name="matrix", db=3)
    equal(named.echo("hello"), "hello")
    info = named.client_info()
    equal((info["name"], int(info["db"])), ("matrix", 3))
    print(f"client redis-py {redis.__version__} RESP{info['resp'].strip()}")


@check("load-balancing")
def _():
    equal(c.lpush("jobs", "a", "b", "c"), 3)
    for job in "abc":
        equal(c.brpop("jobs", 1), ("jobs", job))
    equal(c.llen("jobs"), 0)


@check("fan-out")
def _():
    channel, pattern = c.pubsub(), c.pubsub()
    channel.subscribe("news")
    pattern.psubscribe("n*")
    equal(channel.get_message(timeout=PATIENCE)["type"], "subscribe")
    equal(pattern.get_message(timeout=PATIENCE)["type"], "psubscribe")
    equal(c.publish("news", "hello"), 2)
    equal(next_message(channel), {"type": "message", "pattern": None, "channel": "news", "data": "hello"})
    equal(next_message(pattern), {"type": "pmessage", "pattern": "n*", "channel": "news", "data": "hello"})
    channel.close()
    pattern.close()


def read(c, stream, group, consumer, count):
    """What a consumer gets, as (id, fields)."""
    [[_, entries]] = c.xreadgroup(group, consumer, {stream: ">"}, count=count)
    return entries


@check("hybrid")
def _():
    for group in "billing", "shipping":
        c.xgroup_create("orders", group, "$", mkstream=True)
    entry = c.xadd("orders", {"item": "lamp"})
    for group in "billing", "shipping":
        equal(read(c, "orders", group, "alice", 10), [(entry, {"item": "lamp"})])
        equal(c.xack("orders", group, entry), 1)
        equal(c.xpending("orders", group)["pending"], 0)


@check("pop-timeout")
def _():
    equal(c.brpop("none", 0.1), None)
    equal(c.xreadgroup("billing", "alice", {"orders": ">"}, block=100), [])


@check("pop-served")
def _():
    popped = []
    waiting = threading.Thread(target=lambda: popped.append(connect().brpop("late", 0)))
    waiting.start()
    eventually(lambda: c.info("clients")["blocked_clients"] == 1)
    c.lpush("late", "v")
    waiting.join(PATIENCE)
    equal(popped, [("late", "v")])


@check("redelivery")
def _():
    c.xgroup_create("work", "team", "$", mkstream=True)
    for entry in "1-0", "2-0":
        c.xadd("work", {"item": entry}, id=entry)
    crashing = connect()
    equal(len(read(crashing, "work", "team", "crashing", 2)), 2)
    crashing.xack("work", "team", "1-0")
    crashing.connection_pool.disconnect()
    left = c.xpending_range("work", "team", "-", "+", 9)
    equal([(p["message_id"], p["consumer"]) for p in left], [("2-0", "crashing")])
    messages = c.xautoclaim("work", "team", "rescuer", 0)[1]
    equal(messages, [("2-0", {"item": "2-0"})])
    equal(c.xclaim("work", "team", "other", 0, ["2-0"]), [("2-0", {"item": "2-0"})])
    equal(c.xack("work", "team", "2-0"), 1)
    equal(c.xpending("work", "team")["pending"], 0)


@check("transaction")
def _():
    equal(c.pipeline(transaction=True).rpush("tx", "a", "b").llen("tx").execute(), [2, 2])


@check("watch")
def _():
    with c.pipeline() as watching:
        watching.watch("watched")
        c.rpush("watched", "intruder")
        watching.multi()
        watching.rpush("watched", "mine")
        try:
            equal(watching.execute(), "WatchError")
        except redis.WatchError:
            pass
    equal(c.transaction(lambda p: (p.multi(), p.rpush("watched", "mine")), "watched"), [2])


@check("pipeline")
def _():
    pipe = c.pipeline(transaction=False)
    for i in range(10_000):
        pipe.rpush("pipe", i)
    equal(pipe.execute(), list(range(1, 10_001)))
    equal(c.lindex("pipe", -1), "9999")


@check("binary")
def _():
    raw = connect(decode_responses=False)
    key = BINARY[:256]
    raw.lpush(key, BINARY)
    equal(raw.rpop(key), BINARY)
    raw.xadd("blobs", {key: BINARY})
    equal(raw.xrange("blobs")[0][1], {key: BINARY})
    sub = raw.pubsub()
    sub.subscribe("blobs")
    equal(sub.get_message(timeout=PATIENCE)["type"], "subscribe")
    raw.publish("blobs", BINARY)
    equal(next_message(sub)["data"], BINARY)


@check("error")
def _():
    try:
        equal(c.lpush("orders", "v"), "an error")
    except redis.ResponseError as error:
        equal(str(error), "WRONGTYPE Operation against a key holding the wrong kind of value")
    equal(c.ping(), True)


print("skip cache: the library has none")

subscriber = c.pubsub()
subscriber.subscribe("after")


@check("restart-data")
def _():
    equal(subscriber.get_message(timeout=PATIENCE)["type"], "subscribe")
    c.lpush("kept", "a", "b")
    c.xgroup_create("kept-stream", "team", "$", mkstream=True)
    c.xadd("kept-stream", {"item": "lamp"}, id="1-0")
    equal(read(c, "kept-stream", "team", "alice", 1), [("1-0", {"item": "lamp"})])
    print("restart", flush=True)
    sys.stdin.readline()
    equal(c.brpop("kept", 1), ("kept", "a"))
    equal(c.xpending("kept-stream", "team")["pending"], 1)
    equal(c.xack("kept-stream", "team", "1-0"), 1)


@check("restart-subscription")
def _():
    heard = lambda: connect().publish("after", "hello") == 1
    threading.Thread(target=eventually, args=[heard], daemon=True).start()
    equal(next_message(subscriber)["data"], "hello")


sys.stdout.flush()
os._exit(failed)
