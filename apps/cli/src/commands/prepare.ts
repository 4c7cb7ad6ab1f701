/** `dwm prepare`: a video of hands as a sample that `generate` takes. */
import { isAbsolute, join, relative, sep } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { withOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import { type Command, Option } from 'commander';
import { frozen } from '../generate/ablate.ts';
import { exists } from '../generate/files.ts';
import { readNamedPrompt } from '../generate/inputs.ts';
import { recordMetadata } from '../generate/outputs.ts';
import { interruptible } from '../interrupt.ts';
import { drawClip, drawnFile } from '../prepare/drawn.ts';
import type { Flags, Given } from '../prepare/flags.ts';
import { type HandClip, handsOf } from '../prepare/hands.ts';
import { pickClip } from '../prepare/picked-frames.ts';
import { readPlaced } from '../prepare/read-placed.ts';
import { checkStands, sceneBeside, sceneReader } from '../prepare/scene.ts';
import { type ClipSource, clipSource, nameOf } from '../prepare/source.ts';
import { writeSample } from '../prepare/write-sample.ts';
import { handCounts } from '../render/clips.ts';
import type { Placement } from '../render/fixed-camera.ts';
import { addClipOptions, addHandOptions, checkName, ignoreDistortionOption } from '../render/options.ts';
import { sayIfOdd } from '../render/outputs.ts';
import { frameProgress } from '../render/progress.ts';
import { createReporter, type Reporter } from '../report.ts';
import { integer, real } from './options.ts';

/** Folder of samples where none is named. */
const DEFAULT_OUT = 'samples';

export function addPrepare(program: Command): void {
  const command = program
    .command('prepare')
    .argument('[video]', 'the video; its camera must not move, unless --static is given')
    .option('--input-video <file>', 'the same, as the original has it')
    .option(
      '--hands <file>',
      'the hands: a video of them on black, or a trajectory, .json; else they are found in the video',
    )
    .option(
      '--static <file>',
      'a video of the scene alone along the same camera path; else the one in ../videos_static, else the first frame',
    )
    .option(
      '--from <files...>',
      'a recording of the hands (what dwm trajectory import takes), with the video beside it; or the folder of a LeRobot data set',
    )
    .option(
      '--objects <dir>',
      "models of a clip of HOT3D-Clips (obj_NNNNNN.glb): all three videos are drawn, the scene's, the hands', and both as they were",
    )
    .option('--episode <n>', 'of a LeRobot data set; 0 by default', integer(0))
    .option('--camera <feature>', 'of a LeRobot data set with several, e.g. observation.images.top')
    .option(
      '--focal <pixels>',
      "of the video's camera, to find hands; else 60 degrees across; with --objects of what is drawn, 300 by default",
      real(1),
    )
    .option('--out <dir>', `folder of samples; a line is added to its dataset.txt (default: ${DEFAULT_OUT})`)
    .option(
      '--data-root <dir>',
      "the original's places below this folder: custom_inputs/, unless --out is given, and a list of the clip alone, dataset_files/custom_inputs/<name>.txt",
    )
    .option('--name <stem>', "name of the clip; else the video's")
    .option('--skip-existing', 'leave a clip alone that is there')
    .option('--overwrite', 'make it anew; so it is without --skip-existing')
    .option('--prompt <text>', 'what happens')
    .option('--prompt-file <file>', 'text file that holds the prompt')
    .option('--start-frame <n>', 'leave out what comes before this frame', integer(0), 0);
  command.option('--frames <n>', 'frames of the clip', integer(1), 49);
  addClipOptions(command).addOption(ignoreDistortionOption());
  addHandOptions(command)
    .addOption(
      new Option('--resize <how>', 'letterbox, cut, or what loses less of the picture')
        .choices(['auto', 'pad', 'crop'])
        .default('auto'),
    )
    .action(async (argument: string | undefined, given: Given) => {
      const reporter = createReporter(program.opts().json === true);
      const video = argument ?? given.inputVideo;
      const out = given.out ?? (given.dataRoot ? join(given.dataRoot, 'custom_inputs') : DEFAULT_OUT);
      const flags: Flags = { ...given, out };
      const source = given.objects === undefined ? await clipSource(video, given, reporter) : undefined;
      const recording = source ? '' : drawnFile(video, flags);
      const name = checkName(flags.name ?? source?.name ?? nameOf(recording));
      const list = flags.dataRoot === undefined ? undefined : ownList(flags.dataRoot, out, name);
      if (flags.skipExisting && (await exists(join(out, 'videos', `${name}.mp4`)))) {
        reporter.result({ video: join(out, 'videos', `${name}.mp4`) }, `${name} is there already`);
        return;
      }
      await interruptible((signal) =>
        withOutput(out, { name }, async () => {
          const { files, ...how } = source
            ? await prepare(source, name, flags, reporter, signal)
            : await prepareDrawn(recording, name, flags, reporter, signal);
          if (list) await writeFileAtomic(list.path, `${list.line}\n`);
          const paths = { ...files, ...(list && { list: list.path }) };
          reporter.result({ ...paths, ...how }, Object.values(paths).join('\n'));
        }),
      );
    });
}

/** The original's list of one clip. @throws InvalidArgumentError where the clip is not below the data root. */
function ownList(dataRoot: string, out: string, name: string): { path: string; line: string } {
  const below = relative(dataRoot, join(out, 'videos', `${name}.mp4`))
    .split(sep)
    .join('/');
  if (below.startsWith('..') || isAbsolute(below))
    throw new InvalidArgumentError('out', `expected a folder below --data-root ${dataRoot}, got ${out}`);
  return { path: join(dataRoot, 'dataset_files', 'custom_inputs', `${name}.txt`), line: below };
}

/** @throws InvalidArgumentError for flags that contradict each other, or what the source has. */
function checkFlags(flags: Flags, recorded: ClipSource['recorded']): void {
  if (recorded && flags.hands !== undefined)
    throw new InvalidArgumentError('hands', `is one too many: ${recorded.file} has the hands`);
  if (recorded && flags.focal !== undefined)
    throw new InvalidArgumentError(
      'focal',
      `is of the camera that finds hands, and ${recorded.file} has the hands`,
    );
}

/** What was written, and how. */
interface Prepared {
  readonly files: Readonly<Record<string, string>>;
  readonly resize?: Placement['mode'];
  readonly framesWithHands?: HandClip['counts'];
}

async function promptOf({ prompt, promptFile }: Flags): Promise<string | undefined> {
  if (prompt !== undefined && promptFile !== undefined)
    throw new InvalidArgumentError('prompt', 'expected one kind of prompt, got --prompt and --prompt-file');
  return promptFile ? readNamedPrompt(promptFile) : prompt;
}

/** A sample that is drawn whole, of a recording of hands and of what they move. */
async function prepareDrawn(
  recording: string,
  stem: string,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Prepared> {
  const { out, fps, frames, width, height, objects = '' } = flags;
  const prompt = await promptOf(flags);
  sayIfOdd(flags, reporter);
  const drawn = await drawClip(recording, { ...flags, objects }, reporter, signal);
  const counts = handCounts(drawn.trajectory);
  const { interaction: clip, staticVideo: still, handVideo } = drawn;
  const files = await writeSample(
    out,
    stem,
    { clip, still, hands: { clip: handVideo, counts }, prompt },
    reporter,
  );
  await recordMetadata(join(out, 'metadata.json'), files.video, {
    ...{ from: recording, objects, startFrame: flags.startFrame, sourceFrames: drawn.picked },
    ...{ fps, frames, width, height, framesWithHands: counts },
  });
  return { files, framesWithHands: counts };
}

async function prepare(
  source: ClipSource,
  stem: string,
  flags: Flags,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Prepared> {
  const { video, caption, recorded } = source;
  const { out, fps, frames } = flags;
  checkFlags(flags, recorded);
  const prompt = (await promptOf(flags)) ?? caption;
  sayIfOdd(flags, reporter);
  const chosen = await pickClip(source, flags, reporter);
  const { picked, placement } = chosen;

  const scene = flags.static ?? (await sceneBeside(video));
  const hasHands = recorded !== undefined || flags.hands !== undefined;
  if (scene === undefined) await checkStands(chosen, hasHands, reporter);
  else if (flags.static === undefined) reporter.say(`static scene: ${scene}`);
  const readScene =
    scene === undefined ? undefined : await sceneReader(scene, chosen, flags, reporter, signal);
  // Hands first: what can be wrong with them should not take a decoded video to be seen.
  const hands = await handsOf(recorded, chosen, flags, reporter, signal);
  const onFrame = frameProgress(reporter, 'video');
  const clip = await readPlaced(video, picked, placement, flags, onFrame, signal);
  const still = (await readScene?.()) ?? frozen(clip);

  const files = await writeSample(out, stem, { clip, still, hands, prompt }, reporter);
  const { mode, loss } = placement;
  await recordMetadata(join(out, 'metadata.json'), files.video, {
    video,
    hands: recorded?.file ?? flags.hands ?? 'found in the video',
    static: scene ?? 'the first frame',
    startFrame: flags.startFrame,
    sourceFrames: picked,
    fps,
    frames,
    width: flags.width,
    height: flags.height,
    resize: mode,
    framesWithHands: hands.counts,
  });
  const lost = `${(loss * 100).toFixed(1)}%`;
  const how =
    mode === 'pad' ? `letterboxed, ${lost} of it black` : `centre crop, ${lost} of the video cut off`;
  const { width, height } = chosen.source;
  reporter.progress(`${frames} frames of ${chosen.available}, ${width}x${height} ${how}`, true);
  return { files, resize: mode, framesWithHands: hands.counts };
}
