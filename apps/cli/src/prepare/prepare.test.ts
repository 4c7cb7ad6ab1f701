import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '@dwm/core-tensor/testing';
import { frameAt, readVideo, writeVideo } from '@dwm/media/node';
import { fromFieldOfView, placedCamera, writeTransforms } from '@dwm/renderer';
import { Command } from 'commander';
import { afterAll, expect, test, vi } from 'vitest';
import { addPrepare } from '../commands/prepare.ts';

const folder = mkdtempSync(join(tmpdir(), 'dwm-prepare-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);

/** Smooth spots that the camera passes by, `step` pixels a frame. */
function film(step: number, level = 0) {
  const [frames, height, width] = [6, 96, 160];
  const random = seeded(4);
  const waves = Array.from({ length: 20 }, () => [0.3 * random(), 0.3 * random(), 6.3 * random()]);
  const data = new Uint8Array(frames * height * width * 3);
  for (let i = 0; i < data.length; i += 3) {
    const [x, y] = [(i / 3) % width, Math.floor(i / 3 / width) % height];
    const u = x + step * Math.floor(i / 3 / width / height);
    const sum = waves.reduce((total, [a, b, c]) => total + Math.sin(a * u + b * y + c), level);
    data.fill(Math.min(255, Math.max(0, 120 + 14 * sum)), i, i + 3);
  }
  return { data, frames, height, width, fps: 8 };
}

const prepare = async (...args: string[]) => {
  const program = new Command().exitOverride().option('--json');
  addPrepare(program);
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const size = ['--frames', '6', '--width', '160', '--height', '96', '--out', at('out')];
  await program
    .parseAsync(['node', 'dwm', '--json', 'prepare', ...args, ...size])
    .finally(() => written.mockRestore());
};

test('a camera that moves is refused where hands are to be found, unless the scene has a video', async () => {
  await writeVideo(at('moving.mp4'), film(5));
  await expect(prepare(at('moving.mp4'))).rejects.toThrow(
    /moving\.mp4: its camera moves: after .* pass a video of the scene alone along the same path \(--static\) or the hands/,
  );

  for (const name of ['videos', 'videos_static']) mkdirSync(at(name));
  await writeVideo(at('videos/moving.mp4'), film(5));
  await writeVideo(at('videos_static/moving.mp4'), film(5, 4));
  await writeVideo(at('black.mp4'), { ...film(0), data: new Uint8Array(6 * 96 * 160 * 3) });
  await prepare(at('videos/moving.mp4'), '--hands', at('black.mp4'));
  const [clip, still] = await Promise.all(
    ['videos', 'videos_static'].map((name) => readVideo(at('out', name, 'moving.mp4'))),
  );
  // The scene moves with the video, brighter by 4 x 14.
  for (const frame of [0, 5]) {
    const [a, b] = [frameAt(clip, frame).data, frameAt(still, frame).data];
    const brighter = a.reduce((sum, value, i) => sum + b[i] - value, 0) / a.length;
    expect(Math.abs(brighter - 56)).toBeLessThan(12);
  }

  await writeVideo(at('short.mp4'), { ...film(5), frames: 4, data: film(5).data.slice(0, 4 * 96 * 160 * 3) });
  await expect(
    prepare(at('moving.mp4'), '--hands', at('black.mp4'), '--static', at('short.mp4')),
  ).rejects.toThrow(/short\.mp4: ends before frame 4 of 6/);
  // Before the hands are looked at, which take longest.
  await expect(
    prepare(at('moving.mp4'), '--hands', at('none.mp4'), '--static', at('short.mp4')),
  ).rejects.toThrow(/short\.mp4: ends before frame 4 of 6/);
});

test('a recording brings its hands, and the video beside it', async () => {
  await writeVideo(at('take.mp4'), film(0));
  // A flat hand half a metre ahead, fingers up.
  const joints = Float64Array.from({ length: 175 }, (_, i) => {
    const [joint, part] = [Math.floor(i / 7), i % 7];
    const [finger, bone] =
      joint === 0 ? [2, 0] : joint < 5 ? [0, joint] : [Math.floor(joint / 5), (joint % 5) + 1];
    return [0.02 * (finger - 2), 0.03 * bone - 0.05, -0.5, 0, 0, 0, 1][part];
  });
  const camera = placedCamera('opengl', [0, 0, 0], [0, 0, 0, 1]);
  const frames = Array.from({ length: 6 }, (_, i) => ({
    ...{ seconds: i / 8, intrinsics: fromFieldOfView(160, 96, 1), camera },
    hands: { left: null, right: i < 3 ? { joints } : null },
  }));
  writeFileSync(at('take.json'), writeTransforms({ fps: 8, frames }));
  await prepare('--from', at('take.json'));
  const hands = await readVideo(at('out/videos_hands/take.mp4'));
  const drawn = [1, 5].map((i) => frameAt(hands, i).data.filter((value) => value > 60).length > 100);
  expect(drawn).toEqual([true, false]);
});

test('what does not go with a recording is named', async () => {
  await expect(prepare('--from', at('lost.json'))).rejects.toThrow(
    /lost\.mp4: is not there, the video of .*lost\.json/,
  );
  await expect(prepare(at('lost.mp4'), '--episode', '1')).rejects.toThrow(
    'episode: is of a LeRobot data set (--from FOLDER with meta/info.json), got 1',
  );
  await expect(prepare()).rejects.toThrow('video: is required: the video to prepare, or --from');
});
