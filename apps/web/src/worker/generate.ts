/** One run of the model: progress with the time that is left, a preview after each step but the last, and the clip. */
import type { Frames } from '@dwm/media';
import type { LoadedModel } from './model.ts';
import { Previews } from './previews.ts';
import type { Calls, GenerateProgress, Settings } from './protocol.ts';

interface RunInput {
  readonly scene: Frames;
  readonly hands: Frames;
  readonly settings: Settings;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** @throws what the pipeline throws; the signal's reason when aborted. */
export async function generate(
  model: LoadedModel,
  { scene, hands, settings }: RunInput,
  report: (progress: GenerateProgress) => void,
  signal: AbortSignal,
): Promise<Calls['generate']['result']> {
  const { pipeline, embeds } = model;
  const began = performance.now();
  const steps: number[] = [];
  const warnings: string[] = [];
  let last = 0;
  let shown: GenerateProgress = { stage: 'text', done: 0, step: 0, steps: settings.steps };
  const show = (change: Partial<GenerateProgress>) => {
    shown = { ...shown, ...change, preview: undefined };
    report({ ...shown, preview: change.preview });
  };
  const previews = new Previews(pipeline, settings, (preview) => show({ preview }));
  try {
    const { data, frames, height, width } = await pipeline.generate({
      staticVideo: scene,
      handVideo: hands,
      prompt: embeds ?? settings.prompt,
      numFrames: settings.frames,
      height: settings.height,
      width: settings.width,
      numInferenceSteps: settings.steps,
      guidanceScale: settings.guidance,
      composite: settings.composite,
      seed: settings.seed,
      signal,
      onWarning: (line) => warnings.push(line),
      onProgress({ stage, done, step = 0, steps: count = settings.steps, preview }) {
        const now = performance.now();
        if (stage === 'denoise' && shown.stage !== 'denoise') last = now;
        if (preview) {
          steps.push((now - last) / 1000);
          last = now;
          if (step < count) previews.offer(preview);
          // What comes next is the clip itself: a preview would only keep it waiting.
          else previews.end();
        }
        const secondsPerStep = steps.length > 0 ? median(steps) : undefined;
        const secondsLeft = secondsPerStep && secondsPerStep * Math.max(0, count - steps.length);
        show({ stage, done, step, steps: count, secondsPerStep, secondsLeft });
      },
    });
    const video = { data, frames, height, width, fps: settings.fps };
    return { video, seconds: (performance.now() - began) / 1000, warnings };
  } finally {
    await previews.end();
  }
}
