/** Runs packages' test files in Chromium and gives back what became of every test. */
import { launchChromium } from './browser.ts';
import { bundleTests, ROOT } from './bundle.ts';
import { serveFiles } from './file-server.ts';

export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Why not passed; one line. */
  readonly reason: string;
}

const PAGE =
  '<!doctype html><meta charset="utf-8"><title>tests</title><script type="module" src="run.js"></script>';

/** @param files paths from the repository's root. */
export async function runInChromium(
  files: readonly string[],
  onTest: (result: TestResult) => void = () => {},
): Promise<TestResult[]> {
  const modules = await bundleTests(files);
  modules.set('index.html', new TextEncoder().encode(PAGE));
  const server = await serveFiles({ '/repo/': ROOT, '/': modules });
  const browser = await launchChromium();
  const results: TestResult[] = [];
  try {
    const page = await browser.newPage();
    await new Promise<void>((resolve, reject) => {
      page.on('pageerror', reject);
      page.on('crash', () => reject(new Error('the page crashed')));
      page
        .exposeFunction('reportTest', (result: TestResult) => {
          results.push(result);
          onTest(result);
        })
        .then(() => page.exposeFunction('reportEnd', resolve))
        .then(() => page.goto(`${server.origin}/`))
        .catch(reject);
    });
  } finally {
    await browser.close();
    await server.close();
  }
  return results;
}
