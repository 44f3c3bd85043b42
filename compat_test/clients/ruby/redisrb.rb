# Runs the checks of the client matrix with redis-rb. Arguments: host and port.
require 'redis'
require 'timeout'

PATIENCE = 20 # seconds
HOST, PORT = ARGV
BINARY = ((0..255).to_a.pack('C*') * 4096).freeze
$stdout.sync = true
$failed = false

class Failure < StandardError; end

def connect(**options)
  Redis.new(host: HOST, port: PORT, timeout: PATIENCE, reconnect_attempts: 3, **options)
end

def check(name)
  Timeout.timeout(PATIENCE) { yield }
  puts "ok #{name}"
rescue Failure, Timeout::Error, Redis::BaseError => e
  $failed = true
  puts "not ok #{name}: #{e.class}: #{e.message[0, 500].tr("\n", ' ')}"
end

def equal(got, want)
  raise Failure, "got #{got.inspect[0, 200]}, want #{want.inspect[0, 200]}" unless got == want
end

def eventually
  sleep 0.01 until yield # check() ends it
end

# Listens in a thread; the queue gets what is heard, first of all the confirmation.
# The library does not subscribe again by itself: who listens does.
def listen(subscribe, topic, again: false)
  heard = Queue.new
  Thread.new do
    loop do
      connect(reconnect_attempts: 0).public_send(subscribe, topic) do |on|
        on.subscribe { heard << :subscribed }
        on.psubscribe { heard << :subscribed }
        on.message { |*message| heard << message }
        on.pmessage { |*message| heard << message }
      end
    rescue Redis::BaseConnectionError
      break unless again
    end
  end
  equal heard.pop, :subscribed
  heard
end

c = connect

check 'connect' do
  named = connect(id: 'matrix', db: 3)
  equal named.echo('hello'), 'hello'
  info = named.call('CLIENT', 'INFO')
  equal [info.include?(' name=matrix '), info.include?(' db=3 ')], [true, true]
  puts "client redis-rb #{Redis::VERSION} RESP#{info[/\bresp=(\d)/, 1]}"
  equal named.quit, 'OK'
end

check 'load-balancing' do
  equal c.lpush('jobs', %w[a b c]), 3
  %w[a b c].each { |job| equal c.brpop('jobs', timeout: 1), ['jobs', job] }
  equal c.llen('jobs'), 0
end

check 'fan-out' do
  channel = listen(:subscribe, 'news')
  pattern = listen(:psubscribe, 'n*')
  equal c.publish('news', 'hello'), 2
  equal channel.pop, %w[news hello]
  equal pattern.pop, %w[n* news hello]
end

# What a consumer gets, as [id, fields].
def read(client, stream, group, consumer, count)
  client.xreadgroup(group, consumer, stream, '>', count: count)[stream]
end

check 'hybrid' do
  %w[billing shipping].each { |group| c.xgroup(:create, 'orders', group, '$', mkstream: true) }
  id = c.xadd('orders', { 'item' => 'lamp' })
  %w[billing shipping].each do |group|
    equal read(c, 'orders', group, 'alice', 10), [[id, { 'item' => 'lamp' }]]
    equal c.xack('orders', group, id), 1
    equal c.xpending('orders', group)['size'], 0
  end
end

check 'pop-timeout' do
  equal c.brpop('none', timeout: 0.1), nil
  equal c.xreadgroup('billing', 'alice', 'orders', '>', block: 100), {}
end

check 'pop-served' do
  waiting = Thread.new { connect.brpop('late', timeout: 0) }
  eventually { c.info('clients')['blocked_clients'] == '1' }
  c.lpush('late', 'v')
  equal waiting.value, %w[late v]
end

check 'redelivery' do
  c.xgroup(:create, 'work', 'team', '$', mkstream: true)
  %w[1-0 2-0].each { |id| c.xadd('work', { 'item' => id }, id: id) }
  crashing = connect
  equal read(crashing, 'work', 'team', 'crashing', 2).size, 2
  crashing.xack('work', 'team', '1-0')
  crashing.close
  left = c.xpending('work', 'team', '-', '+', 9)
  equal left.map { |p| p.values_at('entry_id', 'consumer') }, [%w[2-0 crashing]]
  equal c.xautoclaim('work', 'team', 'rescuer', 0, '0')['entries'], [['2-0', { 'item' => '2-0' }]]
  equal c.xclaim('work', 'team', 'other', 0, '2-0'), [['2-0', { 'item' => '2-0' }]]
  equal c.xack('work', 'team', '2-0'), 1
  equal c.xpending('work', 'team')['size'], 0
end

check 'transaction' do
  replies = c.multi do |tx|
    tx.rpush('tx', %w[a b])
    tx.llen('tx')
  end
  equal replies, [2, 2]
end

check 'watch' do
  add = lambda do |intruder|
    c.watch('watched') do
      connect.rpush('watched', 'intruder') if intruder
      c.multi { |tx| tx.rpush('watched', 'mine') }
    end
  end
  equal add.call(true), nil
  equal add.call(false), [2]
end

check 'pipeline' do
  replies = c.pipelined { |pipe| 10_000.times { |i| pipe.rpush('pipe', i) } }
  equal replies, (1..10_000).to_a
  equal c.lindex('pipe', -1), '9999'
end

check 'binary' do
  key = BINARY[0, 256]
  c.lpush(key, BINARY)
  equal c.rpop(key).b, BINARY
  c.xadd('blobs', { key => BINARY })
  equal c.xrange('blobs')[0][1].to_a.flatten.map(&:b), [key, BINARY]
  heard = listen(:subscribe, 'blobs')
  c.publish('blobs', BINARY)
  equal heard.pop.last.b, BINARY
end

check 'error' do
  message = begin
    c.lpush('orders', 'v')
  rescue Redis::CommandError => e
    e.message
  end
  equal message, 'WRONGTYPE Operation against a key holding the wrong kind of value'
  equal c.ping, 'PONG'
end

puts 'skip cache: the library has none'

subscriber = nil

check 'restart-data' do
  subscriber = listen(:subscribe, 'after', again: true)
  c.lpush('kept', %w[a b])
  c.xgroup(:create, 'kept-stream', 'team', '$', mkstream: true)
  c.xadd('kept-stream', { 'item' => 'lamp' }, id: '1-0')
  equal read(c, 'kept-stream', 'team', 'alice', 1), [['1-0', { 'item' => 'lamp' }]]
  puts 'restart'
  $stdin.gets
  equal c.brpop('kept', timeout: 1), %w[kept a]
  equal c.xpending('kept-stream', 'team')['size'], 1
  equal c.xack('kept-stream', 'team', '1-0'), 1
end

check 'restart-subscription' do
  equal subscriber.pop, :subscribed
  equal c.publish('after', 'hello'), 1
  equal subscriber.pop, %w[after hello]
end

exit !$failed
