/** `dwm generate` with a folder of Wan's, as a user runs it, against the original's own run. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor/files';
import { readSafetensors, saveSafetensors } from '@dwm/core-tensor/node';
import { relativeError } from '@dwm/core-tensor/testing';
import { writePng } from '@dwm/media/node';
import { expect, test } from 'vitest';
import { dwm, haveShared, needsShared, shared, temporaryFolder } from '../testing.ts';

const golden = join(shared, 'fixtures/wan_pipeline_e2e');

async function writeFrames(folder: string, { data, shape }: SafetensorsTensor): Promise<void> {
  const [frames, height, width] = shape;
  const bytes = height * width * 3;
  for (let i = 0; i < frames; i++) {
    const pixels = (data as Uint8Array).slice(i * bytes, (i + 1) * bytes);
    await writePng(join(folder, `${String(i).padStart(3, '0')}.png`), { height, width, data: pixels });
  }
}

/** [1, C, F, h, w] as [1, F, C, h, w]. */
function framesFirst(tensor: SafetensorsTensor) {
  const [, channels, frames, height, width] = tensor.shape;
  const values = toFloat32(tensor);
  const pixels = height * width;
  const data = new Float32Array(values.length);
  for (let c = 0; c < channels; c++)
    for (let f = 0; f < frames; f++)
      data.set(
        values.subarray((c * frames + f) * pixels, (c * frames + f + 1) * pixels),
        (f * channels + c) * pixels,
      );
  return { dtype: 'F32' as const, shape: [1, frames, channels, height, width], data };
}

test.skipIf(!haveShared)(
  `a Wan folder gives the original's frames, and says what it runs with${needsShared}`,
  async () => {
    const folder = await temporaryFolder();
    const io = await readSafetensors(join(golden, 'io.safetensors'));
    const original = await readSafetensors(join(golden, 'cfg6.safetensors'));
    for (const name of ['static', 'hand']) await writeFrames(join(folder, name), io.get(`in.${name}_u8`)!);
    const padded = (name: string) => {
      const data = new Float32Array(7 * 20);
      data.set(toFloat32(io.get(name)!));
      return { dtype: 'F32' as const, shape: [1, 7, 20], data };
    };
    const [embeds, latents] = ['embeds', 'latents'].map((name) => join(folder, `${name}.safetensors`));
    await saveSafetensors(
      embeds,
      new Map([
        ['prompt_embeds', padded('in.prompt_embeds')],
        ['negative_prompt_embeds', padded('in.negative_prompt_embeds')],
      ]),
    );
    await saveSafetensors(
      latents,
      new Map([
        ['latents', framesFirst(original.get('draw.initial_latents')!)],
        ['eps.hand', original.get('draw.hand_posterior')!],
      ]),
    );
    const tensors = join(folder, 'out.safetensors');
    const { code, stderr } = await dwm([
      ...['generate', '--model', golden, '--static', join(folder, 'static'), '--hands', join(folder, 'hand')],
      ...['--prompt-embeds', embeds, '--latents', latents, '--num-inference-steps', '4'],
      ...['--height', '32', '--width', '48', '--num-frames', '9'],
      ...['--out', join(folder, 'out.mp4'), '--save-tensors', tensors],
    ]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/Wan 2.1: 4 steps, guidance 6, 9 frames of 48x32, negative prompt "bad detailed"/);
    const video = toFloat32((await readSafetensors(tensors)).get('video')!);
    const pixels = 9 * 32 * 48;
    const got = video.map((_, i) => video[(i % pixels) * 3 + Math.floor(i / pixels)]);
    expect(relativeError(got, toFloat32(original.get('frames')!))).toBeLessThan(2e-4);

    const small = ['--height', '32', '--width', '48', '--num-frames', '9', '--prompt-embeds', embeds];
    const given = ['--static', join(folder, 'static'), '--out', join(folder, 'other.mp4'), ...small];
    const run = async (yaml: string, ...rest: string[]) => {
      const experiment = join(folder, 'experiment.yaml');
      await writeFile(experiment, yaml);
      const model = ['--model', golden, '--experiment-config', experiment];
      return dwm(['generate', ...model, ...given, '--num-inference-steps', '4', ...rest]);
    };
    const firstFrame = await run(
      'training: { conditioning_mode: i2v }',
      ...['--hands', join(folder, 'hand'), '--latents', latents, '--save-tensors', tensors],
    );
    expect(firstFrame.code, firstFrame.stderr).toBe(0);
    expect(firstFrame.stderr).toContain('of the static video only the first frame is seen');
    const masked = await readSafetensors(join(golden, 'cfg6_i2v_mask.safetensors'));
    const wanted = framesFirst(masked.get('latents.step3')!).data;
    const found = toFloat32((await readSafetensors(tensors)).get('latents')!);
    expect(relativeError(found, wanted)).toBeLessThan(2e-4);

    const handless = await run('pipeline: { type: wan2.1_fun_inp }', '--strength', '0.5');
    expect(handless.code).not.toBe(0);
    expect(handless.stderr).toContain('wan2.1_fun_inp knows no hands: no hand video is used');
    expect(handless.stderr).not.toContain('warning');
    expect(handless.stderr).toMatch(/strength: Wan has no start from the static video/);
  },
  240_000,
);
