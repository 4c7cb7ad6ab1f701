/** `dwm render`: a scene and a trajectory in, the two conditioning videos of the model out. */
import { basename, extname, join } from 'node:path';
import { openNodeDevice, withOutput } from '@dwm/core-tensor/node';
import { contactSheet, writePng, writeVideo } from '@dwm/media/node';
import { type Command, Option } from 'commander';
import { recordMetadata } from '../generate/outputs.ts';
import { interruptible } from '../interrupt.ts';
import { type ClipRequest, drawHands, drawScene, handCounts, readClipFiles } from '../render/clips.ts';
import { addClipOptions, addHandOptions, checkName, drawOptions } from '../render/options.ts';
import { frameName, sayIfOdd, writeDepthPicture, writeDepthTensor, writeFrames } from '../render/outputs.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { integer } from './options.ts';

interface Flags extends ClipRequest {
  out: string;
  name?: string;
  png?: true;
  depth?: 'png' | 'safetensors';
  msaa: 'none' | 'scene' | 'all';
}

export function addRender(program: Command): void {
  const command = program
    .command('render')
    .requiredOption(
      '--scene <files...>',
      '.glb, .gltf, .ply, .splat, .spz, .sog or a folder of a SOG; several are put together',
    )
    .requiredOption('--trajectory <file>', 'camera and hands of every frame; see dwm trajectory')
    .requiredOption('--out <dir>', 'folder to write videos_static/ and videos_hands/ to')
    .option('--name <stem>', "name of the clip; else the trajectory's");
  command.option(
    '--frames <n>',
    'frames of the clips; 49, or as many as a shorter trajectory has, if left out',
    integer(1),
  );
  addClipOptions(command);
  for (const option of drawOptions()) command.addOption(option);
  addHandOptions(command)
    .option('--png', 'every frame as a PNG too, without loss')
    .addOption(
      new Option('--depth [kind]', 'depth too: 16-bit PNG in millimetres, or safetensors in metres')
        .choices(['png', 'safetensors'])
        .preset('png'),
    )
    .addOption(
      new Option('--msaa [what]', "what has smooth edges; the original's hands have none")
        .choices(['none', 'scene', 'all'])
        .preset('all')
        .default('scene'),
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      const name = clipName(flags);
      await interruptible((signal) =>
        withOutput(flags.out, { name }, () => render(flags, name, reporter, signal)),
      );
    });
}

const clipName = ({ name, trajectory }: Flags): string =>
  checkName(name ?? basename(trajectory, extname(trajectory)));

async function render(flags: Flags, stem: string, reporter: Reporter, signal: AbortSignal): Promise<void> {
  const { out, width, height } = flags;
  sayIfOdd(flags, reporter);
  const files = await readClipFiles(flags, reporter, { name: '--frames', step: 1 });
  const frames = files.trajectory.frames.length;
  const paths = {
    static: join(out, 'videos_static', `${stem}.mp4`),
    hands: join(out, 'videos_hands', `${stem}.mp4`),
    contactSheet: join(out, `${stem}_contact_sheet.png`),
    depth: flags.depth && join(out, 'depth', flags.depth === 'png' ? stem : `${stem}.safetensors`),
  };

  const device = await openNodeDevice();
  reporter.say(device.caps.adapter.description || device.caps.adapter.device);
  const started = performance.now();
  try {
    const depths: Float32Array[] = [];
    const onDepth = async (frame: number, metres: Float32Array) => {
      if (flags.depth === 'safetensors') depths.push(metres);
      else await writeDepthPicture(join(paths.depth!, frameName(frame)), metres, height, width);
    };
    const scene = await drawScene(device, files, reporter, {
      samples: flags.msaa === 'none' ? 1 : 4,
      signal,
      onDepth: flags.depth && onDepth,
    });
    const hands = await drawHands(device, files, reporter, {
      samples: flags.msaa === 'all' ? 4 : 1,
      signal,
    });
    const seconds = (performance.now() - started) / 1000;
    reporter.progress('writing the videos …');
    if (flags.depth === 'safetensors') await writeDepthTensor(paths.depth!, depths, height, width);
    if (flags.png) {
      await writeFrames(join(out, 'videos_static', stem), scene);
      await writeFrames(join(out, 'videos_hands', stem), hands);
    }
    const rows = [
      { label: 'static', frames: scene },
      { label: 'hands', frames: hands },
    ];
    await writePng(paths.contactSheet, contactSheet(rows));
    await writeVideo(paths.static, scene);
    await writeVideo(paths.hands, hands);
    const metadata = join(out, 'metadata.json');
    await recordMetadata(metadata, paths.static, {
      scene: flags.scene,
      trajectory: flags.trajectory,
      frames,
      fps: flags.fps,
      width,
      height,
      intrinsics: files.trajectory.frames[0].intrinsics,
      fit: flags.fit ?? 'auto',
      sceneUp: flags.sceneUp,
      sceneScale: flags.sceneScale,
      ignoreDistortion: flags.ignoreDistortion,
      framesWithHands: handCounts(files.trajectory),
      mano: flags.mano,
      handGlb: flags.handGlb,
      msaa: flags.msaa,
      depth: flags.depth,
      adapter: device.caps.adapter,
    });
    reporter.progress(`${frames} frames of both in ${clock(seconds)}`, true);
    const shown = Object.values(paths).filter((path) => path !== undefined);
    reporter.result({ ...paths, metadata, seconds }, shown.join('\n'));
  } finally {
    device.destroy();
  }
}
