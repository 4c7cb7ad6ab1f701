/** `dwm rank`: candidate hand actions, each simulated in one scene, in the order in which they come near a goal. */
import { join } from 'node:path';
import { withOutput } from '@dwm/core-tensor/node';
import { loadLpips } from '@dwm/dwm-model/node';
import { lpipsDistance, rankActions } from '@dwm/dwm-model/ranking';
import { type Command, Option } from 'commander';
import { type CheckedModel, checkModel, Generator } from '../eval/models.ts';
import { DEFAULT_MODEL } from '../generate/default-model.ts';
import { interruptible } from '../interrupt.ts';
import { captionOf, checkCameras, checkNames, drawCandidates } from '../rank/candidates.ts';
import { type ClipFlags, clipSize, withClipOptions } from '../rank/clip-options.ts';
import { checkGoal, type GoalFlags, openTextGoal, readGoal } from '../rank/goal.ts';
import { clipName, rankingSheet, rankingText, writeRanking } from '../rank/results.ts';
import { rankShared } from '../rank/shared.ts';
import { type ClipFiles, drawScene, readClipFiles } from '../render/clips.ts';
import { type DrawFlags, drawOptions, handGlbOption, manoOption } from '../render/options.ts';
import { clock, createReporter, type Reporter } from '../report.ts';
import { openTunedDevice } from '../tuning.ts';
import { type Worker, type WorkerFlags, workerFrom, workerOption } from '../work/claim.ts';
import { contentsOf, contentsOfModel } from '../work/contents.ts';
import { integer, real } from './options.ts';

interface Flags extends ClipFlags, GoalFlags, DrawFlags, WorkerFlags {
  scene: string[];
  candidates: string[];
  model: string;
  seeds: number;
  seed: number;
  prompt?: string;
  promptEmbeds?: string;
  fps?: number;
  precision: 'f32' | 'f16';
  out: string;
}

export function addRank(program: Command): void {
  const command = program
    .command('rank')
    .requiredOption('--scene <files...>', 'the scene: .glb, .gltf, .ply, .splat, .spz, .sog')
    .requiredOption('--candidates <files...>', 'trajectories of hands; all along one camera path')
    .option(
      '--goal <file>',
      'how the scene is to look in the end: a picture (.png, .jpg, .webp), or a video or folder of frames whose last ones count',
    )
    .option('--goal-text <text>', 'the same in words, in place of --goal; needs --text-image-model')
    .option('--text-image-model <dir>', 'folder of a CLIP model as transformers saves it')
    .option('--model <dir>', 'model folder', DEFAULT_MODEL)
    .option('--seeds <k>', 'clips of each candidate, whose distances are averaged', integer(1), 1)
    .option('--seed <n>', 'the first seed', integer(0), 42)
    .option('--lpips <dir>', 'folder with published LPIPS weights; else distances are in latent space')
    .option('--prompt <text>', 'what happens, for candidates without <trajectory>.txt beside them')
    .option('--prompt-embeds <file>', 'safetensors with embeddings, in place of prompts');
  withClipOptions(command)
    .option('--fps <n>', 'likewise', real(1, 240))
    .addOption(
      new Option('--precision <type>', 'multiply in this type').choices(['f32', 'f16']).default('f32'),
    )
    .addOption(manoOption())
    .addOption(handGlbOption());
  for (const option of drawOptions()) command.addOption(option);
  command
    .option('--out <dir>', 'folder for ranking.json, sheet.png and the clips', 'dwm-rank')
    .addOption(workerOption())
    .addHelpText(
      'after',
      `
Examples:
  dwm rank --scene kitchen.glb --goal open.png --candidates pull.json push.json --seeds 3
  dwm rank --scene kitchen.glb --goal-text "the top drawer is open" --text-image-model clip-vit-base-patch32 \\
    --candidates pull.json push.json`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      const worker = workerFrom(flags, flags.out, 'rank', reporter);
      await interruptible((signal) => {
        const work = () => rank(flags, worker, reporter, signal);
        return worker ? worker.beside(work) : withOutput(flags.out, {}, work);
      });
    });
}

/** All that the distances depend on. */
async function contentsOfAll(flags: Flags, { folder }: CheckedModel): Promise<string[]> {
  const { scene, candidates, goal, lpips, textImageModel, promptEmbeds, mano, handGlb = [] } = flags;
  const captions = candidates.map(captionOf);
  const given = [goal, lpips, textImageModel, promptEmbeds, mano, ...handGlb];
  return [
    ...(await contentsOf([...scene, ...candidates, ...captions, ...given])),
    ...(await contentsOfModel(folder)),
  ];
}

async function rank(
  flags: Flags,
  worker: Worker | undefined,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  checkGoal(flags);
  checkNames(flags.candidates);
  const model = await checkModel(flags.model, flags);
  const { settings } = model;
  const size = clipSize(flags, settings);
  const shown = flags.goal === undefined ? undefined : await readGoal(flags.goal, size, reporter);
  const files: ClipFiles[] = [];
  for (const trajectory of flags.candidates)
    files.push(await readClipFiles({ ...flags, ...size, trajectory }, reporter, undefined, files[0]?.scene));
  const trajectories = files.map(({ trajectory }) => trajectory);
  checkCameras(flags.candidates, trajectories);
  const device = await openTunedDevice(reporter, undefined, flags.memory);
  // Before the model, which may take minutes: it may not be what it should.
  const words = flags.goalText ? await openTextGoal(device, flags, reporter) : undefined;
  const generator = await Generator.load(device, model, size, reporter, signal);
  try {
    const goal = words ?? shown!;
    const staticVideo = await drawScene(device, files[0], reporter, { signal });
    const { embeds } = generator;
    const captions = { prompt: flags.prompt, embeds };
    const candidates = await drawCandidates(device, flags.candidates, files, captions, reporter, signal);
    const lpips = flags.lpips === undefined ? undefined : await loadLpips(device, flags.lpips);
    const [network] = lpips?.values() ?? [];
    const { pipeline } = generator;
    const begun = performance.now();
    const options = {
      numInferenceSteps: settings.numInferenceSteps,
      guidanceScale: settings.guidanceScale,
      distance: network ? lpipsDistance(network) : generator.distance(),
      signal,
      onWarning: (line: string) => reporter.warn(line),
    };
    const { worker: _, out: __, ...asked } = flags;
    const key = worker && [asked, size, settings, await contentsOfAll(flags, model)];
    const scene = {
      staticVideo,
      prompt: '',
      ...(worker && { staticLatents: await pipeline.encodeStatic(staticVideo, size, signal) }),
    };
    const ranked = worker
      ? await rankShared(worker, candidates, key, flags, signal, async (candidate, seed) => {
          const [one] = await rankActions(pipeline, scene, [candidate], goal, {
            ...options,
            seeds: 1,
            seed,
          });
          return { distance: one.distances[0], outcome: one.outcome };
        })
      : await rankActions(pipeline, scene, candidates, goal, {
          ...options,
          seeds: flags.seeds,
          seed: flags.seed,
          onClip: (done, total) => {
            const left = ((performance.now() - begun) / done) * (total - done);
            reporter.progress(`clip ${done} of ${total}, ${clock(left / 1000)} left`, done === total);
          },
        });
    for (const model of lpips?.values() ?? []) model.destroy();
    words?.model.destroy();
    const pixels = network ? `LPIPS (${network.network})` : 'latent';
    const result = {
      ranking: ranked.map(({ outcome, ...rest }, i) => ({ place: i + 1, ...rest })),
      distance: words ? '1 - cosine (CLIP)' : pixels,
      settings: { ...flags, ...size, ...settings },
      sheet: join(flags.out, 'sheet.png'),
    };
    const picture = rankingSheet(ranked, candidates, staticVideo, 'text' in goal ? goal.text : goal);
    const write = () => writeRanking(flags.out, ranked, size.fps, picture, result);
    const names = ['ranking.json', 'sheet.png', ...ranked.map(clipName)];
    if (worker) await worker.parts(['the ranking'], key, signal, write, names);
    else await write();
    reporter.result(
      result,
      [
        `distance to the goal (${result.distance}), small is good`,
        rankingText(ranked),
        result.sheet,
        join(flags.out, 'ranking.json'),
      ].join('\n'),
    );
  } finally {
    generator.pipeline.destroy();
    device.destroy();
  }
}
