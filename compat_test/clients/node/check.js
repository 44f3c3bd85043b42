// What the Node programs of the client matrix share: how they report, and how they give up on a check.
import { deepStrictEqual } from 'node:assert';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const patience = 20_000; // ms

export const [host, port] = [process.argv[2], Number(process.argv[3])];
export const equal = deepStrictEqual;

// A mebibyte in which every byte occurs, line ends included.
export const binary = Buffer.alloc(1 << 20, Uint8Array.from({ length: 256 }, (_, i) => i));

export async function check(name, run) {
  try {
    await withPatience(run(), name);
    console.log(`ok ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`not ok ${name}: ${String(error.stack ?? error).slice(0, 1000).replaceAll('\n', ' ')}`);
  }
}

export function skip(name, reason) {
  console.log(`skip ${name}: ${reason}`);
}

// Who runs: the version as it is installed, the protocol as CLIENT INFO has it.
export function client(name, module, clientInfo) {
  const { version } = JSON.parse(readFileSync(`node_modules/${module}/package.json`));
  console.log(`client ${name} ${version} RESP${/\bresp=(\d)/.exec(clientInfo)[1]}`);
}

// Has the broker killed and started again; returns when it runs.
export async function restart() {
  console.log('restart');
  const stdin = createInterface({ input: process.stdin });
  await stdin[Symbol.asyncIterator]().next();
  stdin.close();
}

// Asks again and again: for what another connection or another process has to do first.
export async function eventually(reached) {
  while (!await reached()) await sleep(10);
}

export async function rejects(promise, message) {
  const error = await promise.then(() => 'no error', (e) => e.message);
  equal(error, message);
}

// A listener that remembers, and a promise for the next thing that it hears.
export function inbox() {
  const heard = [];
  let wake = () => {};
  return {
    put: (...message) => { heard.push(message); wake(); },
    next: async () => {
      while (heard.length === 0) await new Promise((resolve) => { wake = resolve; });
      return heard.shift();
    },
  };
}

async function withPatience(promise, name) {
  const timer = new AbortController();
  const late = sleep(patience, null, { signal: timer.signal }).then(() => { throw new Error(`${name} hangs`); });
  try {
    await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}
