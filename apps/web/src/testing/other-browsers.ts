/**
 * Firefox and WebKitGTK for tests, as Debian has them, driven by WebDriver's commands: Firefox takes them over a socket
 * (Marionette), WebKitGTK over its driver's HTTP.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface OtherBrowser {
  open(address: string): Promise<void>;
  /** Runs the body of an async function in the page. */
  run<T>(body: string): Promise<T>;
  /** Of what is in sight, as a PNG. */
  picture(): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** What to print where a browser's tests are skipped; undefined where it is there. */
export const noFirefox = () =>
  existsSync('/usr/bin/firefox-esr') ? undefined : 'skipped, no Firefox: apt-get install firefox-esr';
export const noWebKit = () =>
  existsSync('/usr/bin/WebKitWebDriver') && existsSync('/usr/bin/xvfb-run')
    ? undefined
    : 'skipped, no WebKitGTK: apt-get install webkit2gtk-driver xvfb';

/** Milliseconds for a script of `run`, on a software adapter of a busy machine. */
const PATIENCE = 240_000;

/** An async body as WebDriver's scripts take it: it is told of a failure, too. */
const script = (body: string) => ({
  script: `const done = arguments[arguments.length - 1];
    (async () => { ${body} })().then((value) => done({ value }), (error) => done({ failure: String(error) }));`,
  args: [],
});

function answerOf<T>({ value, failure }: { value?: T; failure?: string }): T {
  if (failure !== undefined) throw new Error(failure);
  return value as T;
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Marionette's messages: a length, a colon, and JSON: [0, id, command, parameters] there, [1, id, error, result] back. */
class Marionette {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (answer: readonly [error: unknown, result: unknown]) => void>();
  #received = Buffer.alloc(0);
  #sent = 0;

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.on('data', (bytes) => this.#take(bytes));
  }

  async send(command: string, parameters: object = {}): Promise<unknown> {
    const id = ++this.#sent;
    const text = JSON.stringify([0, id, command, parameters]);
    const answered = new Promise<readonly [unknown, unknown]>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    const [error, result] = await answered;
    if (error) throw new Error(`${command}: ${JSON.stringify(error)}`);
    return result;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const colon = this.#received.indexOf(':');
      const end = colon + 1 + Number(this.#received.subarray(0, colon));
      if (colon < 0 || this.#received.length < end) return;
      const message = JSON.parse(this.#received.subarray(colon + 1, end).toString());
      this.#received = this.#received.subarray(end);
      // The first message is a greeting.
      if (Array.isArray(message)) this.#waiting.get(message[1])?.([message[2], message[3]]);
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** @param preferences as in `about:config`. */
export async function startFirefox(preferences: Readonly<Record<string, unknown>>): Promise<OtherBrowser> {
  const profile = await mkdtemp(join(tmpdir(), 'dwm-firefox-'));
  const lines = Object.entries({ 'marionette.port': 0, ...preferences }).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
  );
  await writeFile(join(profile, 'user.js'), lines.join('\n'));
  const firefox = spawn('firefox-esr', ['--headless', '--marionette', '--no-remote', '--profile', profile], {
    stdio: 'ignore',
  });
  const port = join(profile, 'MarionetteActivePort');
  while (!existsSync(port) && firefox.exitCode === null) await pause(100);
  const session = new Marionette(Number(await readFile(port, 'utf8')));
  await session.send('WebDriver:NewSession');
  await session.send('WebDriver:SetTimeouts', { script: PATIENCE });
  const value = (answer: unknown) => (answer as { value: never }).value;
  return {
    async open(url) {
      await session.send('WebDriver:Navigate', { url });
    },
    run: async (body) => answerOf(value(await session.send('WebDriver:ExecuteAsyncScript', script(body)))),
    picture: async () =>
      Buffer.from(value(await session.send('WebDriver:TakeScreenshot', { full: false })), 'base64'),
    async close() {
      session.close();
      firefox.kill();
      await ended(firefox);
      await rm(profile, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export async function startWebKit(): Promise<OtherBrowser> {
  const port = await freePort();
  const driver = spawn('xvfb-run', ['-a', 'WebKitWebDriver', `--port=${port}`], {
    stdio: 'ignore',
    // A group of its own, so that all of it can be ended.
    detached: true,
  });
  const send = async (method: string, path: string, body?: object) => {
    const init = { method, ...(body && { body: JSON.stringify(body) }) };
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, init);
    const { value } = (await answer.json()) as { value: never };
    if (!answer.ok) throw new Error(`${path}: ${JSON.stringify(value)}`);
    return value;
  };
  const listens = () =>
    send('GET', '/status').then(
      () => true,
      () => false,
    );
  while (!(await listens()) && driver.exitCode === null) await pause(100);
  const { sessionId } = (await send('POST', '/session', { capabilities: {} })) as { sessionId: string };
  const session = `/session/${sessionId}`;
  await send('POST', `${session}/timeouts`, { script: PATIENCE });
  return {
    async open(url) {
      await send('POST', `${session}/url`, { url });
    },
    run: async (body) => answerOf(await send('POST', `${session}/execute/async`, script(body))),
    picture: async () => Buffer.from(await send('GET', `${session}/screenshot`), 'base64'),
    async close() {
      await send('DELETE', session);
      process.kill(-driver.pid!);
      await ended(driver);
    },
  };
}
