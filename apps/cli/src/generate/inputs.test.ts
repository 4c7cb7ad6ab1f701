import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidFileError } from '@dwm/core-tensor';
import { saveSafetensors, type TensorToSave } from '@dwm/core-tensor/node';
import { writePng } from '@dwm/media/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { readClip, readDraws, readPrompt, readPromptEmbeds } from './inputs.ts';

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

  test('reads a folder of PNGs in the order of their names, at the rate given', async () => {
    const frames = join(folder, 'frames');
    for (const [name, value] of [
      ['b.png', 20],
      ['a.PNG', 10],
      ['c.png', 30],
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
    expect(await refusal(readClip(mixed, 8))).toContain('1.png: is 4x3, but 0.png is 5x3');
    const empty = join(folder, 'empty');
    await mkdir(empty);
    expect(await refusal(readClip(empty, 8))).toContain('holds no PNG images; expected a video or a folder');
    const garbage = join(folder, 'garbage.mp4');
    await writeFile(garbage, 'these are not the frames you are looking for'.repeat(100));
    expect(await refusal(readClip(garbage, 8))).toContain('garbage.mp4: is not a video this program reads');
    expect(await refusal(readClip(join(folder, 'no.mp4'), 8))).toContain('no.mp4: no such file');
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

test('a missing caption says what to do', async () => {
  expect(await refusal(readPrompt(join(folder, 'no.txt')))).toContain(
    'no.txt: no caption (ENOENT); write one',
  );
});
