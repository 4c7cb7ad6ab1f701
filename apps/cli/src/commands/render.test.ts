import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors } from '@dwm/core-tensor/node';
import { encodeGrey16Png, frameAt, readPng, readVideo, writeVideo } from '@dwm/media/node';
import { defaultHandPath } from '@dwm/renderer/node';
import { Command } from 'commander';
import { expect, test, vi } from 'vitest';
import { addGenerate } from './generate.ts';
import { addPrepare } from './prepare.ts';
import { addRender } from './render.ts';
import { addTrajectory } from './trajectory.ts';

const folder = mkdtempSync(join(tmpdir(), 'dwm-render-'));
const at = (...names: string[]) => join(folder, ...names);
/** Any GLB is a scene; this one comes with the program. */
const scene = defaultHandPath('right');

/** Runs a command in this process. @returns what it reports with --json. */
async function dwm(...args: string[]): Promise<Record<string, string>> {
  const program = new Command('dwm').option('--json').exitOverride();
  addGenerate(program);
  addRender(program);
  addTrajectory(program);
  addPrepare(program);
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    await program.parseAsync(['--json', ...args], { from: 'user' });
    return JSON.parse(write.mock.calls.map(([text]) => String(text)).join(''));
  } finally {
    write.mockRestore();
  }
}

/** 10 frames at 8 fps of a camera 0.4 m off that moves to the right, and a right hand that is there in the first five. */
function writeTrajectory(path: string): void {
  const joints = Array.from({ length: 25 }, (_, j) => [0.01 * (j % 5), 0.004 * j, 0, 0, 0, 0, 1]);
  writeFileSync(
    path,
    JSON.stringify({
      fps: 8,
      w: 96,
      h: 64,
      fl_x: 80,
      frames: Array.from({ length: 10 }, (_, i) => ({
        transform_matrix: [
          [1, 0, 0, 0.01 * i],
          [0, 1, 0, 0],
          [0, 0, 1, 0.4],
          [0, 0, 0, 1],
        ],
        hands: { left: null, right: i < 5 ? { joints } : null },
      })),
    }),
  );
}
const trajectory = at('T.json');
writeTrajectory(trajectory);
const render = (out: string, ...more: string[]) =>
  dwm('render', '--scene', scene, '--trajectory', trajectory, '--out', at(out), '--frames', '9', ...more);
const SMALL = ['--width', '96', '--height', '64'];

test('render writes both videos, frames, depth, a sheet and a record; a second run the same bytes', async () => {
  const made = await render('a', ...SMALL, '--png', '--depth', '--name', 'clip');
  expect(made).toMatchObject({
    static: at('a/videos_static/clip.mp4'),
    hands: at('a/videos_hands/clip.mp4'),
  });
  const video = await readVideo(made.static);
  expect([video.frames, video.height, video.width, video.fps]).toEqual([9, 64, 96, 8]);
  const hands = await readVideo(made.hands);
  expect(frameAt(hands, 0).data.some((value) => value > 100)).toBe(true);
  expect(frameAt(hands, 8).data.every((value) => value < 20)).toBe(true);
  expect(readdirSync(at('a/videos_hands/clip'))).toHaveLength(9);
  expect(new Set((await readPng(at('a/videos_hands/clip/00008.png'))).data)).toEqual(new Set([0]));

  const record = JSON.parse(readFileSync(made.metadata, 'utf8')).clips['clip.mp4'];
  expect(record).toMatchObject({ frames: 9, framesWithHands: { left: 0, right: 5 }, intrinsics: { fx: 80 } });

  await render('b', ...SMALL, '--depth', 'safetensors', '--name', 'clip');
  for (const file of ['videos_static/clip.mp4', 'videos_hands/clip.mp4', 'clip_contact_sheet.png'])
    expect(Buffer.compare(readFileSync(at('a', file)), readFileSync(at('b', file))), file).toBe(0);
  const { shape, data } = (await readSafetensors(at('b/depth/clip.safetensors'))).get('depth')!;
  expect(shape).toEqual([9, 64, 96]);
  const millimetres = Uint16Array.from((data as Float32Array).subarray(0, 96 * 64), (m) =>
    Math.round(m * 1000),
  );
  const near = millimetres.filter((value) => value > 0);
  expect(near.length).toBeGreaterThan(100);
  expect(Math.min(...near)).toBeGreaterThan(200);
  expect(Math.max(...near)).toBeLessThan(600);
  const grey = Buffer.from(await encodeGrey16Png(millimetres, 64, 96));
  expect(Buffer.compare(readFileSync(at('a/depth/clip/00000.png')), grey)).toBe(0);
}, 120_000);

test('generate draws for itself what render writes, bit for bit', async () => {
  const model = join(import.meta.dirname, '../../../../packages/dwm-model/tests/golden/pipeline_e2e');
  const small = ['--width', '48', '--height', '32'];
  const frames = await render('c0', ...small, '--frames', '9', '--png');
  const generate = async (name: string, ...from: string[]) => {
    const tensors = at(`${name}.safetensors`);
    const text = ['--prompt-embeds', join(model, 'io.safetensors')];
    const run = ['--num-frames', '9', '--num-inference-steps', '1', '--save-tensors', tensors];
    await dwm('generate', '--model', model, ...text, ...small, ...run, '--out', at(`${name}.mp4`), ...from);
    return readFileSync(tensors);
  };
  const drawn = await generate('drawn', '--scene', scene, '--trajectory', trajectory);
  const folders = [frames.static, frames.hands].map((video) => video.replace('.mp4', ''));
  const read = await generate('read', '--static', folders[0], '--hands', folders[1]);
  expect(Buffer.compare(drawn, read)).toBe(0);
  await expect(generate('x', '--scene', scene)).rejects.toThrow(/trajectory: is required with --scene/);
}, 120_000);

test('without a prompt a trajectory brings its caption, or there is none', async () => {
  writeTrajectory(at('captioned.json'));
  writeFileSync(at('captioned.txt'), 'The right hand waves.\n');
  const promptOf = async (path: string) => {
    const run = ['--num-frames', '5', '--width', '48', '--height', '32', '--out', at('prompted/clip.mp4')];
    await dwm('generate', '--scene', scene, '--trajectory', path, ...run);
    return Object.values(JSON.parse(readFileSync(at('prompted/metadata.json'), 'utf8')).clips).map(
      (clip) => (clip as { prompt: string }).prompt,
    );
  };
  expect(await promptOf(at('captioned.json'))).toEqual(['The right hand waves.']);
  expect(await promptOf(trajectory)).toEqual(['']);
}, 120_000);

test('what render cannot do is one line, and nothing is written', async () => {
  await expect(render('c', '--hand-glb', scene)).rejects.toThrow(/hand-glb: expected two files/);
  await expect(render('c', '--frames', '20')).rejects.toThrow(
    /frames: 20 frames at 8 a second last 2\.38 s, and .*T\.json only 1\.13 s: pass --frames 10, or a higher --fps/,
  );
  await expect(render('c', '--scene-up', 'w')).rejects.toThrow(/--scene-up.*expected x, y, z, -x/);
  await expect(render('c', ...SMALL, '--fit', 'crop', '--width', '4096')).rejects.toThrow(/set `fit: scale`/);
  await expect(render('c', '--name', '../c')).rejects.toThrow(/name: expected a plain file name/);
  await expect(render('c', '--mano', trajectory)).rejects.toThrow(/T\.json/);
  writeFileSync(at('hand.json'), '{"frames": [{"time": 1, "view": {}}]}');
  await expect(
    dwm('render', '--scene', scene, '--trajectory', at('hand.json'), '--out', at('c')),
  ).rejects.toThrow(/is webxr, not a trajectory; run dwm trajectory import/);
  await expect(
    dwm('render', '--scene', at('none.glb'), '--trajectory', trajectory, '--frames', '2', '--out', at('c')),
  ).rejects.toThrow(/none\.glb/);
  expect(existsSync(at('c'))).toBe(false);
});

/** Runs a command. @returns what it reports, and the lines that it warns with. */
async function told(...args: string[]): Promise<{ result: Record<string, string>; lines: string[] }> {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    const result = await dwm(...args);
    return { result, lines: write.mock.calls.map(([text]) => String(text)) };
  } finally {
    write.mockRestore();
  }
}

test('render of a short trajectory, of no hands, past the scene: all of it is said', async () => {
  const text = JSON.parse(readFileSync(trajectory, 'utf8'));
  const frames = text.frames.map(({ transform_matrix }: { transform_matrix: number[][] }, i: number) => ({
    // From the sixth frame on the camera stands behind the scene and looks away.
    transform_matrix:
      i < 5 ? transform_matrix : transform_matrix.map((row, k) => (k === 2 ? [0, 0, 1, -9] : row)),
  }));
  writeFileSync(at('empty.json'), JSON.stringify({ ...text, k1: 0.001, frames }));
  const run = (...more: string[]) =>
    told('render', '--scene', scene, '--trajectory', at('empty.json'), '--out', at('e'), ...SMALL, ...more);
  const { result, lines } = await run();
  expect((await readVideo(result.static)).frames).toBe(10);
  expect(lines).toEqual([
    expect.stringMatching(/empty\.json: k1: its lens moves points by up to 0\.\d+ pixels/),
    expect.stringMatching(/empty\.json has no hands/),
    expect.stringMatching(/nothing of the scene is in view in 5 of 10 frames, from frame 5 on/),
  ]);
  // Turned by the flag and back by hand: a scene whose up is -y is drawn upside down.
  const [upright, turned] = [
    await run('--png', '--name', 'a'),
    await run('--png', '--name', 'b', '--scene-up', '-y'),
  ];
  const [a, b] = [upright, turned].map(({ result: { static: path } }) => path.replace('.mp4', '/00000.png'));
  expect(Buffer.compare((await readPng(a)).data, (await readPng(b)).data)).not.toBe(0);
  const tiny = await run('--scene-scale', '0.0001');
  expect(tiny.lines.at(-1)).toMatch(/nothing of the scene is in view in all 10 frames/);
}, 120_000);

test('trajectory: import keeps frames, resample changes the rate, preview draws', async () => {
  const copy = await dwm('trajectory', 'import', trajectory, '--out', at('copy.json'));
  expect(copy).toMatchObject({ format: 'nerfstudio', frames: 10, width: 96, framesWithHands: { right: 5 } });
  const fast = await dwm('trajectory', 'resample', at('copy.json'), '--fps', '16', '--out', at('fast.json'));
  expect(fast).toMatchObject({ frames: 19, fps: 16, seconds: 1.125 });
  const { frames } = JSON.parse(readFileSync(at('fast.json'), 'utf8'));
  expect(frames[5].transform_matrix[0][3]).toBeCloseTo(0.025, 12);

  const { file } = await dwm('trajectory', 'preview', trajectory, '--scene', scene, '--out', at('p.png'));
  const picture = await readPng(file);
  const colors = new Set<string>();
  for (let i = 0; i < picture.data.length; i += 3) colors.add(picture.data.subarray(i, i + 3).join());
  // The start's dot, the right hand's bones, and a scene.
  for (const color of ['255,255,255', '204,102,102']) expect(colors.has(color), color).toBe(true);
  expect(colors.size).toBeGreaterThan(100);

  const cameras = at('cameras.txt');
  writeFileSync(cameras, '1 PINHOLE 96 64 80 80 48 32\n');
  writeFileSync(at('images.txt'), '1 1 0 0 0 0 0 2 1 a.png\n\n');
  const colmap = await dwm('trajectory', 'import', folder, '--scale', '0.5', '--out', at('colmap.json'));
  expect(colmap).toMatchObject({ format: 'colmap', frames: 1 });
  expect(JSON.parse(readFileSync(at('colmap.json'), 'utf8')).frames[0].transform_matrix[2][3]).toBe(-1);
  await expect(
    dwm('trajectory', 'import', cameras, '--format', 'webxr', '--out', at('x.json')),
  ).rejects.toThrow(/is colmap, not webxr/);
  await expect(dwm('trajectory', 'import', cameras, trajectory, '--out', at('x.json'))).rejects.toThrow(
    /does not go with/,
  );
}, 60_000);

test('prepare makes a sample that generate finds, letterboxed or cut, and lists it once', async () => {
  const [width, height, frames] = [160, 90, 20];
  const data = new Uint8Array(frames * height * width * 3);
  for (let f = 0; f < frames; f++)
    data.fill(40 + 8 * f, f * height * width * 3, (f + 1) * height * width * 3);
  await writeVideo(at('raw.mp4'), { data, frames, height, width, fps: 16 });
  const clip = ['--frames', '9', ...SMALL, '--out', at('data'), '--hands'];
  const run = (...more: string[]) => dwm('prepare', at('raw.mp4'), ...clip, ...more);
  const made = await run(at('wide.mp4')).catch((error: Error) => error);
  expect(String(made)).toMatch(/wide\.mp4: no such file/);

  const text = JSON.parse(readFileSync(trajectory, 'utf8'));
  writeFileSync(at('wide.json'), JSON.stringify({ ...text, w: 160, h: 90 }));
  const pad = await run(at('wide.json'), '--resize', 'pad', '--prompt', 'A hand waits.');
  expect(pad).toMatchObject({ resize: 'pad', framesWithHands: { left: 0, right: 5 } });
  const video = await readVideo(pad.video);
  // Tick k shows the last frame nearest to it: 2k for 16 to 8 fps, or the one rounded down to it.
  const middle = (f: number) => frameAt(video, f).data[(32 * 96 + 48) * 3];
  for (let f = 1; f < 9; f++) expect(middle(f) - middle(f - 1)).toBeGreaterThan(8);
  expect(frameAt(video, 3).data[48 * 3]).toBeLessThan(20);
  const still = await readVideo(pad.static);
  for (const f of [0, 8])
    expect(Math.abs(frameAt(still, f).data[(32 * 96 + 48) * 3] - middle(0))).toBeLessThan(4);
  expect(readFileSync(at('data/prompts_rewrite/raw.txt'), 'utf8')).toBe('A hand waits.\n');

  await run(pad.hands, '--resize', 'crop', '--prompt', 'A hand waits.');
  expect(frameAt(await readVideo(pad.video), 3).data[48 * 3]).toBeGreaterThan(40);
  expect(readFileSync(at('data/dataset.txt'), 'utf8')).toBe('videos/raw.mp4\n');
  // Hands of a camera of the clip's own shape fill it.
  await expect(run(trajectory)).resolves.toMatchObject({ framesWithHands: { right: 5 } });
  // Hands that end early are said.
  const frames4 = text.frames.slice(0, 4);
  writeFileSync(at('short.json'), JSON.stringify({ ...text, w: 160, h: 90, frames: frames4 }));
  let said = '';
  const errors = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += text;
    return true;
  });
  const short = await run(at('short.json')).finally(() => errors.mockRestore());
  expect(short).toMatchObject({ framesWithHands: { left: 0, right: 4 } });
  expect(said).toContain(
    'short.json ends before frame 4 of 9 (after 0.5 s): the clip shows no hands from there on (--frames 4 ends with it)',
  );
  writeFileSync(at('tall.json'), JSON.stringify({ ...text, w: 64, h: 96 }));
  await expect(run(at('tall.json'))).rejects.toThrow(/tall\.json: is of 64x96 pixels, expected the shape/);

  // The original's options and places.
  const own = (...more: string[]) =>
    dwm(
      ...['prepare', '--input-video', at('raw.mp4'), '--name', 'pour', '--data-root', at('root')],
      ...['--frames', '9', ...SMALL, '--hands', at('wide.json'), ...more],
    );
  const { video: poured, list } = await own();
  expect(poured).toBe(at('root/custom_inputs/videos/pour.mp4'));
  expect(list).toBe(at('root/dataset_files/custom_inputs/pour.txt'));
  expect(readFileSync(list, 'utf8')).toBe('custom_inputs/videos/pour.mp4\n');
  writeFileSync(poured, 'kept');
  await own('--skip-existing');
  expect(readFileSync(poured, 'utf8')).toBe('kept');
  await expect(own('--out', at('elsewhere'))).rejects.toThrow(/out: expected a folder below --data-root/);
}, 120_000);
