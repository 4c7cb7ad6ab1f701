/**
 * `dwm demo`: the whole pipeline on a clip that comes with the project, and a comparison with what the
 * original PyTorch code made of the same input. The weights are tiny and random, so the picture is noise; what
 * it shows is that every number between the two conditioning videos and the pixels is the original's.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeUse, type SafetensorsTensor, toFloat32 } from '@dwm/core-tensor';
import { openDirectory, readSafetensors } from '@dwm/core-tensor/node';
import { DwmPipeline } from '@dwm/dwm-model';
import type { Command } from 'commander';
import { outputPaths, toFrames, writeClip } from '../generate/outputs.ts';
import { generationProgress } from '../generate/progress.ts';
import { interruptible } from '../interrupt.ts';
import { createReporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';

const GOLDEN = join(import.meta.dirname, '../../../../packages/dwm-model/tests/golden/pipeline_e2e');
const FPS = 8;

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('generate the built-in clip and compare it with the original PyTorch result')
    .option('--out <dir>', 'folder to write to', 'dwm-demo')
    .action(async (options: { out: string }) => {
      const reporter = createReporter(program.opts().json === true);
      const io = await readSafetensors(join(GOLDEN, 'io.safetensors'));
      const original = await readSafetensors(join(GOLDEN, 'cfg6.safetensors'));
      const clip = (name: string) => {
        const { shape, data } = io.get(name)!;
        const [frames, height, width] = shape;
        return { data: data as Uint8Array, frames, height, width, fps: FPS };
      };
      const staticVideo = clip('in.static_u8');
      const handVideo = clip('in.hand_u8');
      const floats = (from: Map<string, SafetensorsTensor>, name: string) => toFloat32(from.get(name)!);

      const device = await openTunedDevice(reporter);
      const pipeline = await DwmPipeline.load(device, await openDirectory(GOLDEN));
      const settings = {
        staticVideo,
        handVideo,
        prompt: {
          prompt: floats(io, 'in.prompt_embeds'),
          negative: floats(io, 'in.negative_prompt_embeds'),
          tokens: io.get('in.prompt_embeds')!.shape[1],
        },
        numFrames: staticVideo.frames,
        height: staticVideo.height,
        width: staticVideo.width,
        numInferenceSteps: 4,
      };
      await beforeUse.tune(device, () => pipeline.estimate(settings));
      const generated = await interruptible((signal) =>
        pipeline.generate({
          ...settings,
          draws: { latents: floats(io, 'in.latents'), hand: floats(original, 'eps.hand') },
          signal,
          onProgress: generationProgress(reporter),
        }),
      );
      const want = floats(original, 'video');
      const worst = generated.video.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i])), 0);

      await mkdir(options.out, { recursive: true });
      const paths = outputPaths(join(options.out, 'demo'), true);
      const truth = toFrames({ ...generated, video: want }, FPS);
      await writeClip(paths, toFrames(generated, FPS), { staticVideo, handVideo, truth });
      pipeline.destroy();
      device.destroy();
      reporter.result(
        { ...paths, worstPixelDifference: worst },
        [
          `video          ${paths.video}`,
          `contact sheet  ${paths.contactSheet}   (static | hands | generated | the original's result)`,
          `the pixel that differs most from the original's differs by ${worst.toExponential(1)} of full scale`,
        ].join('\n'),
      );
    });
}
