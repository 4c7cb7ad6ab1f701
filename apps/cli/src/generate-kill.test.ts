/**
 * `dwm generate` over a list, killed at random moments and run again with --skip-existing: no clip is lost, none half
 * written, and all are those of a run that was never killed. `DWM_KILLS` sets how many times.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { seeded } from '@dwm/core-tensor/testing';
import { type Frames, readVideo, writeVideo } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { dwm, temporaryFolder } from './testing.ts';

const KILLS = Number(process.env.DWM_KILLS ?? 3);
const GOLDEN = join(import.meta.dirname, '../../../packages/dwm-model/tests/golden/pipeline_e2e');
const STEMS = ['a', 'b', 'c'];

test(
  `killed ${KILLS} times, a list of clips ends whole`,
  async () => {
    const folder = await temporaryFolder();
    const random = seeded(5);
    for (const [i, stem] of STEMS.entries()) {
      const data = new Uint8Array(5 * 32 * 48 * 3).map((_, k) => (k * (7 + i)) % 251);
      const clip: Frames = { data, frames: 5, height: 32, width: 48, fps: 8 };
      for (const which of ['videos', 'videos_static', 'videos_hands'])
        await writeVideo(join(folder, `data/s/${which}/${stem}.mp4`), clip);
    }
    await writeFile(join(folder, 'list.txt'), STEMS.map((stem) => `s/videos/${stem}.mp4\n`).join(''));
    await mkdir(join(folder, 'whole'));
    const args = (out: string) => [
      ...[
        'generate',
        '--model',
        GOLDEN,
        '--prompt-embeds',
        join(GOLDEN, 'io.safetensors'),
        '--skip-existing',
      ],
      ...['--dataset-file', join(folder, 'list.txt'), '--data-root', join(folder, 'data')],
      ...['--height', '32', '--width', '48', '--num-frames', '5', '--num-inference-steps', '1'],
      ...['--output-dir', join(folder, out)],
    ];
    const env = { DWM_TUNE: 'off' };
    const whole = await dwm(args('whole'), { env });
    expect(whole.code, whole.stderr).toBe(0);

    const out = join(folder, 'killed');
    const videos = async () =>
      (await readdir(out, { recursive: true }).catch((): string[] => [])).filter((name) =>
        name.endsWith('.mp4'),
      );
    for (let kill = 0, life = 0; kill < KILLS; life++) {
      expect(life, 'most runs are over before they are killed').toBeLessThan(3 * KILLS + 5);
      let set = false;
      const ran = await dwm(args('killed'), {
        env,
        watch(child, stderr) {
          if (set || !/clip \d of \d/.test(stderr)) return;
          set = true;
          setTimeout(() => child.kill('SIGKILL'), 900 * random());
        },
      });
      if (ran.code === null) kill++;
      else expect(ran.code, ran.stderr).toBe(0);
      // What is there is whole, whenever the process went.
      for (const name of await videos()) await readVideo(join(out, name));
      const left = await videos();
      // Something is left to do for the next one.
      if (left.length > 0 && (ran.code === 0 || random() < 0.3)) await rm(join(out, left[0]));
    }
    const last = await dwm(args('killed'), { env });
    expect(last.code, last.stderr).toBe(0);
    const names = async (of: string) => (await readdir(join(folder, of), { recursive: true })).sort();
    expect(await names('killed')).toEqual(await names('whole'));
    for (const name of await videos())
      expect(
        (await readFile(join(out, name))).equals(await readFile(join(folder, 'whole', name))),
        name,
      ).toBe(true);
    await rm(folder, { recursive: true });
  },
  240_000 + 60_000 * KILLS,
);
