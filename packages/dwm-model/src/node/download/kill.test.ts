import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '@dwm/core-tensor/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeHub, MODEL_ID } from './fake-hub.ts';

/** More for a long look: `DWM_KILLS=60`. */
const KILLS = Number(process.env.DWM_KILLS ?? 4);

let hub: FakeHub;
let outDir: string;
beforeEach(async () => {
  hub = new FakeHub();
  outDir = await mkdtemp(join(tmpdir(), 'dwm-kill-'));
});
afterEach(async () => {
  hub.stop();
  await rm(outDir, { recursive: true });
});

test(
  `killed ${KILLS} times, a download ends equal and leaves nothing else`,
  async () => {
    const random = seeded(7);
    for (const name of ['a.json', 'vae/b.safetensors', 'vae/c.safetensors'])
      hub.files.set(
        name,
        Uint8Array.from({ length: name === 'a.json' ? 500 : 400_000 }, () => 256 * random()),
      );
    // Slow enough to be killed in the middle.
    hub.intercept = ({ url, headers }, response, server) => {
      if (server === 'hub') return false;
      const bytes = hub.files.get(decodeURIComponent(url!.split('?')[0].slice(1)))!;
      let at = Number(/\d+/.exec(headers.range!)![0]);
      response.writeHead(206, { 'content-range': `bytes ${at}-${bytes.length - 1}/${bytes.length}` });
      const timer = setInterval(() => {
        response.write(bytes.subarray(at, at + 20_000));
        at += 20_000;
        if (at < bytes.length) return;
        clearInterval(timer);
        response.end();
      }, 20);
      response.on('close', () => clearInterval(timer));
      return true;
    };
    const endpoint = await hub.start();
    const start = () =>
      fork(join(import.meta.dirname, 'testing.ts'), [MODEL_ID, outDir], {
        execArgv: ['--import', import.meta.resolve('tsx')],
        env: { ...process.env, HF_ENDPOINT: endpoint, HF_TOKEN: '', HF_HUB_DOWNLOAD_TIMEOUT: '60' },
      });
    for (let kill = 0; kill < KILLS; kill++) {
      const child = start();
      await once(child, 'message');
      await sleep(random() * 500);
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      // Some kills come too late: begin anew.
      if (random() < 0.2) await rm(join(outDir, 'vae'), { recursive: true, force: true });
    }
    const child = start();
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    expect((await readdir(outDir, { recursive: true })).sort()).toEqual([
      'a.json',
      'vae',
      'vae/b.safetensors',
      'vae/c.safetensors',
    ]);
    for (const [name, bytes] of hub.files)
      expect(Buffer.compare(await readFile(join(outDir, name)), Buffer.from(bytes))).toBe(0);
  },
  120_000 + 10_000 * KILLS,
);
