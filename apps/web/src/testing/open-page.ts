/** The built page in Chromium for tests: built once, served below a sub-path, with what it asked for and complained of. */
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { build } from 'vite';
import { type LaunchOptions, launchChromium } from '../../../../tools/chromium/browser.ts';
import { type FileServer, serveFiles } from '../../../../tools/chromium/file-server.ts';

const APP = join(import.meta.dirname, '../..');
const BUILT = join(APP, 'out/page');
/** Static hosts put pages below a path. */
const PATH = '/some/path/';

export interface OpenPage {
  readonly page: Page;
  /** Requests that left the page's origin, policy violations and errors of the page. */
  readonly complaints: string[];
  /** Files of the page that were fetched, once each, below its path. */
  readonly fetched: readonly string[];
}

export interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of processor time. */
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

let built: Promise<void> | undefined;

/** As visitors get it, though vitest says that this is a test. */
async function buildPage(): Promise<void> {
  const { NODE_ENV } = process.env;
  process.env.NODE_ENV = 'production';
  try {
    await build({
      configFile: join(APP, 'vite.config.ts'),
      logLevel: 'error',
      build: { outDir: BUILT, emptyOutDir: true },
    });
  } finally {
    process.env.NODE_ENV = NODE_ENV;
  }
}

/** The built page at `address`. */
export async function servePage(): Promise<FileServer & { readonly address: string }> {
  built ??= buildPage();
  await built;
  const server = await serveFiles({ [PATH]: BUILT });
  return { ...server, address: server.origin + PATH };
}

export class PageServer {
  readonly #server: FileServer;
  readonly #browser: Browser;
  #context: BrowserContext | undefined;

  private constructor(server: FileServer, browser: Browser) {
    this.#server = server;
    this.#browser = browser;
  }

  static async start(options: LaunchOptions = {}): Promise<PageServer> {
    return new PageServer(await servePage(), await launchChromium(options));
  }

  /**
   * One page at a time: the one before is closed, so that none goes on after its test has failed.
   * @param script runs in the page before its own.
   */
  async open(hash = '', context?: Parameters<Browser['newContext']>[0], script?: string): Promise<OpenPage> {
    await this.#context?.close();
    const own = await this.#browser.newContext(context);
    this.#context = own;
    if (script) await own.addInitScript(script);
    const page = await own.newPage();
    const complaints: string[] = [];
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    const fetched: string[] = [];
    own.on('request', (request) => {
      const url = request.url();
      const [name] = url.slice((this.#server.origin + PATH).length).split(/[?#]/);
      if (url.startsWith(this.#server.origin + PATH) && !fetched.includes(name)) fetched.push(name);
      if (!url.startsWith(this.#server.origin) && !/^(blob|data):/.test(url)) complaints.push(`asked ${url}`);
    });
    await page.goto(this.#server.origin + PATH + hash);
    return { page, complaints, fetched };
  }

  /** Begins a record of every task of the page's threads. */
  trace(page: Page): Promise<void> {
    return this.#browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline', '__metadata'] });
  }

  /** Ends the record, and gives its events in Chromium's trace format. */
  async traced(): Promise<TraceEvent[]> {
    return JSON.parse((await this.#browser.stopTracing()).toString()).traceEvents;
  }

  /** Ends the browser's GPU process, as a driver's crash does. */
  async crashGpu(): Promise<void> {
    const session = await this.#browser.newBrowserCDPSession();
    await session.send('Browser.crashGpuProcess');
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.close();
  }
}

export { BUILT };
