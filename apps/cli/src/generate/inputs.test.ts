import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { saveSafetensors, type TensorToSave } from '@dwm/core-tensor/node';
import { clipReport } from '@dwm/dwm-model';
import { type Frames, frameAt, writePng, writeVideo } from '@dwm/media/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { readClip, readDraws, readNamedPrompt, readPrompt, readPromptEmbeds, readVideos } from './inputs.ts';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});

/** A file of tensors of zeros. */
async function tensors(
  shapes: Record<string, number[]>,
  dtype: 'F32' | 'F16' | 'I64' = 'F32',
): Promise<string> {
  const file = join(folder, 'tensors.safetensors');
  const bytes = { F32: 4, F16: 2, I64: 8 }[dtype];
  const entries = Object.entries(shapes).map(([name, shape]): [string, TensorToSave] => [
    name,
    { dtype, shape, data: new Uint8Array(shape.reduce((a, b) => a * b, bytes)) },
  ]);
  await saveSafetensors(file, new Map(entries));
  return file;
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => expect.fail('was accepted'),
    (e) => e,
  );
  expect(error).toBeInstanceOf(InvalidFileError);
  expect(error.message.split('\n')).toHaveLength(1);
  return error.message;
}

describe('readClip', () => {
  const image = (height: number, width: number, value: number) => ({
    height,
    width,
    data: new Uint8Array(height * width * 3).fill(value),
  });

  test('reads a folder of frames in the order of their numbers, at the rate given', async () => {
    const frames = join(folder, 'frames');
    for (const [name, value] of [
      ['2.png', 20],
      ['1.PNG', 10],
      ['10.png', 30],
    ] as const)
      await writePng(join(frames, name), image(3, 5, value));
    await writeFile(join(frames, 'notes.txt'), 'not a frame');
    const clip = await readClip(frames, 12);
    expect(clip).toMatchObject({ frames: 3, height: 3, width: 5, fps: 12 });
    expect([0, 1, 2].map((i) => clip.data[i * 45])).toEqual([10, 20, 30]);
  });

  test('refuses frames of two sizes, none at all, and what is no video', async () => {
    const mixed = join(folder, 'mixed');
    await writePng(join(mixed, '0.png'), image(3, 5, 1));
    await writePng(join(mixed, '1.png'), image(3, 4, 1));
    expect(await refusal(readClip(mixed, 8))).toMatch(/1\.png: is 4x3, but .*0\.png is 5x3/);
    const empty = join(folder, 'empty');
    await mkdir(empty);
    expect(await refusal(readClip(empty, 8))).toContain(
      'holds no PNG, JPEG or WebP pictures; expected a video or a folder',
    );
    const garbage = join(folder, 'garbage.mp4');
    await writeFile(garbage, 'these are not the frames you are looking for'.repeat(100));
    expect(await refusal(readClip(garbage, 8))).toContain('garbage.mp4: is not a video this program reads');
    expect(await refusal(readClip(join(folder, 'no.mp4'), 8))).toContain('no.mp4: no such file');
  });
});

describe('readVideos', () => {
  const [green, coral] = [
    [128, 204, 128],
    [204, 102, 102],
  ];
  /** Frame f is of grey 4 f, or black with a patch of hands from frame `from` on. */
  const video = (frames: number, fps: number, hands?: { colour: number[]; from: number }): Frames => {
    const [height, width] = [32, 48];
    const data = Uint8Array.from({ length: frames * height * width * 3 }, (_, i) => {
      const frame = Math.floor(i / (height * width * 3));
      if (!hands) return 4 * frame;
      return frame >= hands.from && Math.floor(i / 3) % width < 12 ? hands.colour[i % 3] : 0;
    });
    return { data, frames, height, width, fps };
  };
  let count = 0;
  const job = async (scene: Frames, hands: Frames) => {
    const [staticVideo, handVideo] = ['s', 'h'].map((name) => join(folder, `${name}${count++}.mp4`));
    await writeVideo(staticVideo, scene);
    await writeVideo(handVideo, hands);
    return { name: 'x', staticVideo, handVideo, truth: staticVideo, index: 0 };
  };
  const aim = { numFrames: 17, fps: 8, height: 32, width: 48 };
  const read = async (scene: Frames, hands: Frames) => {
    const videos = await readVideos(await job(scene, hands), { frames: 17, fps: 8 });
    const grey = Array.from({ length: 17 }, (_, f) => Math.round(frameAt(videos.staticVideo, f).data[0] / 4));
    const report = clipReport(
      videos.sources,
      videos.handVideo,
      { ...aim, model: 'dwm-tiny' },
      (fps) => `--fps ${fps}`,
    );
    return { videos, grey, ...report };
  };

  test('takes the first frames of a longer video, at their own speed', async () => {
    const long = await read(video(49, 8), video(49, 8, { colour: green, from: 9 }));
    expect(long.grey).toEqual(Array.from({ length: 17 }, (_, f) => f));
    expect(long.videos.staticVideo).toMatchObject({ frames: 17, fps: 8 });
    expect(long.videos.truth).toEqual(long.videos.staticVideo);
    expect(long.line).toBe(
      '17 of 49 frames at their own speed, the first 2.1 s of 6.1 s; 48x32; hands in 1.0 s of them; dwm-tiny knows only simulated rooms',
    );
    expect(long.warnings).toEqual([]);
    const fast = await read(video(60, 24), video(60, 24, { colour: coral, from: 0 }));
    expect(fast.grey).toEqual(Array.from({ length: 17 }, (_, f) => 3 * f));
  });

  test('takes exactly its frames as they are, and says at what speed', async () => {
    const same = await read(video(17, 8), video(17, 8, { colour: coral, from: 0 }));
    expect(same.line).toContain('all 17 frames, 2.1 s; 48x32; hands in 2.1 s of them');
    const slowed = await read(video(17, 24), video(17, 24, { colour: coral, from: 0 }));
    expect(slowed.grey).toEqual(Array.from({ length: 17 }, (_, f) => f));
    expect(slowed.line).toContain(
      'all 17 frames, shown 0.33 times as fast as filmed (--fps 24 keeps their time)',
    );
    expect(slowed.warnings).toEqual([]);
  });

  test('repeats the last frame of a shorter one, and says so', async () => {
    const short = await read(video(9, 8), video(5, 8, { colour: green, from: 0 }));
    expect(short.grey).toEqual(Array.from({ length: 17 }, (_, f) => Math.min(f, 8)));
    expect(frameAt(short.videos.handVideo, 16).data[1]).toBeGreaterThan(150);
    expect(short.line).toContain(
      '9 of 9 frames at their own speed, 1.1 s, and the last one repeated to 2.1 s',
    );
    expect(short.warnings).toEqual([
      'the hand video lasts 0.6 s and the static video 1.1 s; the last frame of the shorter one is repeated',
    ]);
  });

  test('warns of other rates, other shapes, and hands that are none', async () => {
    const rates = await read(video(17, 8), video(17, 24, { colour: green, from: 0 }));
    expect(rates.warnings[0]).toContain('8 frames a second and the hand video 24; frame goes with frame');
    const wide = { ...video(17, 8), height: 24, width: 64 };
    const shape = await read(wide, video(17, 8, { colour: green, from: 0 }));
    expect(shape.warnings[0]).toContain(
      'the hand video is 48x32 and the static video 64x24; each is resized',
    );
    expect(shape.line).toContain('64x24 squeezed to 48x32');
    const filmed = await read(video(17, 8), video(17, 8, { colour: [90, 120, 200], from: 0 }));
    expect(filmed.warnings[0]).toContain('neither green nor coral; expected hands alone on black');
  });
});

describe('readPromptEmbeds', () => {
  test('takes the published and the golden names, with or without a batch axis', async () => {
    expect(await readPromptEmbeds(await tensors({ prompt_embeds: [1, 6, 4] }))).toMatchObject({
      tokens: 6,
      dim: 4,
      negative: undefined,
    });
    const both = await tensors({ 'in.prompt_embeds': [6, 4], 'in.negative_prompt_embeds': [1, 6, 4] }, 'F16');
    const embeds = await readPromptEmbeds(both);
    expect(embeds).toMatchObject({ file: both, tokens: 6, dim: 4 });
    expect(embeds.negative).toHaveLength(24);
  });

  test.each([
    [{ other: [1, 6, 4] }, 'prompt_embeds is missing'],
    [{ prompt_embeds: [2, 6, 4] }, 'prompt_embeds: expected [1, tokens, dim], got [2,6,4]'],
    [{ prompt_embeds: [24] }, 'prompt_embeds: expected [1, tokens, dim], got [24]'],
    [{ prompt_embeds: [1, 0, 4] }, 'prompt_embeds: expected [1, tokens, dim], got [1,0,4]'],
    [
      { prompt_embeds: [1, 6, 4], negative_prompt_embeds: [1, 4, 6] },
      'negative_prompt_embeds: expected [1, 6, 4] as prompt_embeds, got [1, 4, 6]',
    ],
  ])('refuses %o', async (shapes, message) => {
    const file = await tensors(shapes);
    expect(await refusal(readPromptEmbeds(file))).toBe(`${file}: ${message}`);
  });

  test('refuses whole numbers', async () => {
    const file = await tensors({ prompt_embeds: [1, 6, 4] }, 'I64');
    expect(await refusal(readPromptEmbeds(file))).toContain(
      'prompt_embeds: expected a floating-point tensor, got I64',
    );
  });
});

describe('readDraws', () => {
  const size = { channels: 16, frames: 3, height: 4, width: 6 };

  test('reads latents alone, or with the posterior draws', async () => {
    const latents = [1, 3, 16, 4, 6];
    expect(await readDraws(await tensors({ latents }), size)).toEqual({ latents: new Float32Array(1152) });
    const all = await readDraws(
      await tensors({ latents, 'eps.hand': [1, 16, 3, 4, 6], 'eps.static': [1, 16, 3, 4, 6] }),
      size,
    );
    expect([all.hand, all.static]).toEqual([new Float32Array(1152), new Float32Array(1152)]);
  });

  test('refuses the axes of a posterior for latents, and the other way round', async () => {
    expect(await refusal(readDraws(await tensors({ latents: [1, 16, 3, 4, 6] }), size))).toContain(
      'latents: expected [1, 3, 16, 4, 6] for this model and size, got [1, 16, 3, 4, 6]',
    );
    const file = await tensors({ latents: [1, 3, 16, 4, 6], 'eps.hand': [1, 3, 16, 4, 6] });
    expect(await refusal(readDraws(file, size))).toContain('eps.hand: expected [1, 16, 3, 4, 6]');
    expect(await refusal(readDraws(await tensors({ x: [1] }), size))).toContain('latents is missing');
  });
});

test.skipIf(process.platform === 'win32')(
  'a caption out of a pipe: where the user names it, not where one lies in a folder',
  async () => {
    const pipe = join(folder, 'pipe.txt');
    execFileSync('mkfifo', [pipe]);
    const written = writeFile(pipe, ' A hand waves.\n');
    expect(await readNamedPrompt(pipe)).toBe('A hand waves.');
    await written;
    expect(await refusal(readPrompt(pipe))).toContain('pipe.txt: is not a regular file');
  },
);

test('a missing caption says what to do', async () => {
  expect(await refusal(readPrompt(join(folder, 'no.txt')))).toContain('no.txt: no caption; write one');
});
