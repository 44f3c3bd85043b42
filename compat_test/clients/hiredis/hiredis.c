/* Runs the checks of the client matrix with hiredis, in its blocking form. Arguments: host and port. */
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

enum { patience = 20 /* seconds */, binary_length = 1 << 20 };

static const char *host;
static int port;
static char binary[binary_length]; /* every byte occurs, line ends included */
static bool failed;

/* The reason why the running check gave up; empty while all is well. What fails first counts. */
static char reason[1024];

static void fail(const char *format, ...)
{
	va_list args;
	if (reason[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
}

static void report(const char *check)
{
	if (reason[0] == '\0') {
		printf("ok %s\n", check);
	} else {
		failed = true;
		printf("not ok %s: %s\n", check, reason);
	}
	fflush(stdout);
	reason[0] = '\0';
}

static redisContext *dial(void)
{
	struct timeval timeout = {.tv_sec = patience};
	redisContext *c = redisConnectWithTimeout(host, port, timeout);
	if (c == NULL || c->err != 0) {
		printf("not ok connect: %s\n", c == NULL ? "no memory" : c->errstr);
		exit(1);
	}
	redisSetTimeout(c, timeout);
	return c;
}

/* Replies live until the program ends: it is short. */
static redisReply *got(redisContext *c, redisReply *r)
{
	static redisReply lost = {.type = REDIS_REPLY_ERROR, .str = "no reply"};
	if (r != NULL)
		return r;
	fail("connection: %s", c->errstr);
	return &lost;
}

static redisReply *call(redisContext *c, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	redisReply *r = redisvCommand(c, format, args);
	va_end(args);
	return got(c, r);
}

static redisReply *receive(redisContext *c)
{
	void *r = NULL;
	redisGetReply(c, &r); /* r stays NULL if the connection breaks */
	return got(c, r);
}

static void send_now(redisContext *c, const char *format, ...)
{
	int done = 0;
	va_list args;
	va_start(args, format);
	redisvAppendCommand(c, format, args);
	va_end(args);
	while (!done)
		if (redisBufferWrite(c, &done) != REDIS_OK) {
			fail("connection: %s", c->errstr);
			return;
		}
}

/* show writes a reply as text: ["jobs" 3 nil]. */
static size_t show(char *to, size_t size, const redisReply *r)
{
	size_t used = 0;
	switch (r->type) {
	case REDIS_REPLY_INTEGER:
		return snprintf(to, size, "%lld", r->integer);
	case REDIS_REPLY_NIL:
		return snprintf(to, size, "nil");
	case REDIS_REPLY_ARRAY:
		used = snprintf(to, size, "[");
		for (size_t i = 0; i < r->elements && used < size; i++) {
			used += snprintf(to + used, size - used, i == 0 ? "" : " ");
			used += show(to + used, size - used, r->element[i]);
		}
		return used < size ? used + snprintf(to + used, size - used, "]") : size;
	default:
		return snprintf(to, size, "%s", r->str);
	}
}

static void want(const redisReply *r, const char *format, ...)
{
	char expected[512], shown[512];
	va_list args;
	va_start(args, format);
	vsnprintf(expected, sizeof expected, format, args);
	va_end(args);
	show(shown, sizeof shown, r);
	if (strcmp(shown, expected) != 0)
		fail("got %s, want %s", shown, expected);
}

static void want_binary(const redisReply *r)
{
	if (r->type != REDIS_REPLY_STRING || r->len != binary_length || memcmp(r->str, binary, binary_length) != 0)
		fail("got other bytes");
}

static bool blocked(redisContext *c)
{
	redisReply *info = call(c, "INFO clients");
	return strstr(info->str, "blocked_clients:1\r\n") != NULL;
}

static void await_blocked(redisContext *c)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	for (time_t end = time(NULL) + patience; !blocked(c); nanosleep(&pause, NULL))
		if (time(NULL) > end) {
			fail("no client is blocked");
			return;
		}
}

static void check_connect(void)
{
	redisContext *named = dial();
	want(call(named, "CLIENT SETNAME matrix"), "OK");
	want(call(named, "SELECT 3"), "OK");
	want(call(named, "ECHO %s", "hello"), "hello");
	const char *info = call(named, "CLIENT INFO")->str;
	const char *resp = strstr(info, " resp=");
	if (strstr(info, " name=matrix ") == NULL || strstr(info, " db=3 ") == NULL || resp == NULL)
		fail("CLIENT INFO: %s", info);
	else
		printf("client hiredis %d.%d.%d RESP%c\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, resp[strlen(" resp=")]);
	redisFree(named);
	report("connect");
}

static void check_load_balancing(redisContext *c)
{
	want(call(c, "LPUSH jobs a b c"), "3");
	want(call(c, "BRPOP jobs 1"), "[jobs a]");
	want(call(c, "BRPOP jobs 1"), "[jobs b]");
	want(call(c, "BRPOP jobs 1"), "[jobs c]");
	want(call(c, "LLEN jobs"), "0");
	report("load-balancing");
}

static void check_fan_out(redisContext *c)
{
	redisContext *channel = dial(), *pattern = dial();
	want(call(channel, "SUBSCRIBE news"), "[subscribe news 1]");
	want(call(pattern, "PSUBSCRIBE n*"), "[psubscribe n* 1]");
	want(call(c, "PUBLISH news hello"), "2");
	want(receive(channel), "[message news hello]");
	want(receive(pattern), "[pmessage n* news hello]");
	redisFree(channel);
	redisFree(pattern);
	report("fan-out");
}

static void check_hybrid(redisContext *c)
{
	static const char *groups[] = {"billing", "shipping"};
	for (int i = 0; i < 2; i++)
		want(call(c, "XGROUP CREATE orders %s $ MKSTREAM", groups[i]), "OK");
	const char *id = call(c, "XADD orders * item lamp")->str;
	for (int i = 0; i < 2; i++) {
		want(call(c, "XREADGROUP GROUP %s alice COUNT 10 STREAMS orders >", groups[i]), "[[orders [[%s [item lamp]]]]]", id);
		want(call(c, "XACK orders %s %s", groups[i], id), "1");
		want(call(c, "XPENDING orders %s", groups[i]), "[0 nil nil nil]");
	}
	report("hybrid");
}

static void check_pop(redisContext *c)
{
	want(call(c, "BRPOP none 0.1"), "nil");
	want(call(c, "XREADGROUP GROUP billing alice BLOCK 100 STREAMS orders >"), "nil");
	report("pop-timeout");

	redisContext *waiting = dial();
	send_now(waiting, "BRPOP late 0");
	await_blocked(c);
	want(call(c, "LPUSH late v"), "1");
	want(receive(waiting), "[late v]");
	redisFree(waiting);
	report("pop-served");
}

static void check_redelivery(redisContext *c)
{
	want(call(c, "XGROUP CREATE work team $ MKSTREAM"), "OK");
	want(call(c, "XADD work 1-0 item one"), "1-0");
	want(call(c, "XADD work 2-0 item two"), "2-0");
	redisContext *crashing = dial();
	want(call(crashing, "XREADGROUP GROUP team crashing COUNT 2 STREAMS work >"), "[[work [[1-0 [item one]] [2-0 [item two]]]]]");
	want(call(crashing, "XACK work team 1-0"), "1");
	redisFree(crashing);
	want(call(c, "XPENDING work team"), "[1 2-0 2-0 [[crashing 1]]]");
	want(call(c, "XAUTOCLAIM work team rescuer 0 0"), "[0-0 [[2-0 [item two]]] []]");
	want(call(c, "XCLAIM work team other 0 2-0"), "[[2-0 [item two]]]");
	want(call(c, "XACK work team 2-0"), "1");
	want(call(c, "XPENDING work team"), "[0 nil nil nil]");
	report("redelivery");
}

static void check_transaction(redisContext *c)
{
	want(call(c, "MULTI"), "OK");
	want(call(c, "RPUSH tx a b"), "QUEUED");
	want(call(c, "LLEN tx"), "QUEUED");
	want(call(c, "EXEC"), "[2 2]");
	report("transaction");

	static const char *results[] = {"nil", "[2]"};
	redisContext *intruder = dial();
	want(call(c, "WATCH watched"), "OK");
	want(call(intruder, "RPUSH watched intruder"), "1");
	for (int i = 0; i < 2; i++) {
		want(call(c, "MULTI"), "OK");
		want(call(c, "RPUSH watched mine"), "QUEUED");
		want(call(c, "EXEC"), "%s", results[i]);
	}
	redisFree(intruder);
	report("watch");
}

static void check_pipeline(redisContext *c)
{
	for (int i = 0; i < 10000; i++)
		redisAppendCommand(c, "RPUSH pipe %d", i);
	for (int i = 0; i < 10000; i++)
		want(receive(c), "%d", i + 1);
	want(call(c, "LINDEX pipe -1"), "9999");
	report("pipeline");
}

static void check_binary(redisContext *c)
{
	const size_t key = 256;
	want(call(c, "LPUSH %b %b", binary, key, binary, sizeof binary), "1");
	want_binary(call(c, "RPOP %b", binary, key));
	call(c, "XADD blobs * %b %b", binary, key, binary, sizeof binary);
	redisReply *entries = call(c, "XRANGE blobs - +");
	if (entries->elements != 1)
		fail("%zu entries, want 1", entries->elements);
	else
		want_binary(entries->element[0]->element[1]->element[1]);
	redisContext *sub = dial();
	want(call(sub, "SUBSCRIBE blobs"), "[subscribe blobs 1]");
	want(call(c, "PUBLISH blobs %b", binary, sizeof binary), "1");
	redisReply *message = receive(sub);
	if (message->elements != 3)
		fail("no message");
	else
		want_binary(message->element[2]);
	redisFree(sub);
	report("binary");
}

static void check_error(redisContext *c)
{
	redisReply *r = call(c, "LPUSH orders v");
	want(r, "WRONGTYPE Operation against a key holding the wrong kind of value");
	if (r->type != REDIS_REPLY_ERROR)
		fail("the reply is not an error");
	want(call(c, "PING"), "PONG");
	report("error");
}

/* hiredis never connects by itself: redisReconnect does it when the program says so. */
static void check_restart(redisContext *c)
{
	char line[16];
	void *nothing;
	redisContext *sub = dial();
	want(call(sub, "SUBSCRIBE after"), "[subscribe after 1]");
	want(call(c, "LPUSH kept a b"), "2");
	want(call(c, "XGROUP CREATE kept-stream team $ MKSTREAM"), "OK");
	want(call(c, "XADD kept-stream 1-0 item lamp"), "1-0");
	want(call(c, "XREADGROUP GROUP team alice COUNT 1 STREAMS kept-stream >"), "[[kept-stream [[1-0 [item lamp]]]]]");
	puts("restart");
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL || redisReconnect(c) != REDIS_OK)
		fail("no broker any more");
	want(call(c, "BRPOP kept 1"), "[kept a]");
	want(call(c, "XPENDING kept-stream team"), "[1 1-0 1-0 [[alice 1]]]");
	want(call(c, "XACK kept-stream team 1-0"), "1");
	report("restart-data");

	if (redisGetReply(sub, &nothing) == REDIS_OK)
		fail("the subscriber did not notice");
	if (redisReconnect(sub) != REDIS_OK)
		fail("the subscriber cannot connect again");
	want(call(sub, "SUBSCRIBE after"), "[subscribe after 1]");
	want(call(c, "PUBLISH after hello"), "1");
	want(receive(sub), "[message after hello]");
	report("restart-subscription");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	host = argv[1];
	port = atoi(argv[2]);
	for (size_t i = 0; i < sizeof binary; i++)
		binary[i] = (char)i;
	redisContext *c = dial();
	check_connect();
	check_load_balancing(c);
	check_fan_out(c);
	check_hybrid(c);
	check_pop(c);
	check_redelivery(c);
	check_transaction(c);
	check_pipeline(c);
	check_binary(c);
	check_error(c);
	puts("skip cache: the library has none");
	check_restart(c);
	return failed;
}
