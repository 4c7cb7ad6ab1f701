/** One method over all clips: its videos are made, scored, and a small strip of each is kept for the report. */
import { type Lpips, type LpipsNetwork, scoreClip } from '@dwm/dwm-model/metrics';
import { type Frames, sideBySide } from '@dwm/media/node';
import { fit } from '../generate/fit.ts';
import type { HandPoints } from './hand-points.ts';
import { methodResult } from './summary.ts';
import type { ClipResult, EvalClip, MethodKind, MethodResult } from './types.ts';

/** Makes a clip's video. `name` is for messages: a file, or words. */
export interface Method {
  readonly name: string;
  readonly kind: MethodKind;
  readonly make: (clip: EvalClip) => Promise<{ name: string; clip: Frames }>;
}

/** What scores with weights of its own, as far as these are there. */
export interface Networks {
  readonly lpips: ReadonlyMap<LpipsNetwork, Lpips>;
  readonly hands?: HandPoints;
}

export interface Strip {
  readonly clip: string;
  /** static | hands | truth | this method, as far as they are there. */
  readonly frames: Frames;
}

/** Pixels across one picture of a strip, and frames, at most. */
const STRIP_WIDTH = 160;
const STRIP_FRAMES = 25;

const LPIPS_KEYS = { vgg: 'lpipsVgg', alex: 'lpipsAlex', squeeze: 'lpipsSqueeze' } as const;

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

function stripOf(clip: EvalClip, prediction: Frames): Strip {
  const { truth } = clip;
  const width = Math.min(STRIP_WIDTH, truth.width);
  const size = {
    frames: Math.min(STRIP_FRAMES, truth.frames),
    width,
    height: Math.max(1, Math.round((width * truth.height) / truth.width)),
    fps: truth.fps,
  };
  const shown = [clip.staticVideo, clip.handVideo, truth, prediction].filter(
    (frames) => frames !== undefined,
  );
  return { clip: clip.name, frames: sideBySide(shown.map((frames) => fit(frames, size))) };
}

export async function judge(
  method: Method,
  clips: AsyncIterable<EvalClip>,
  { lpips, hands }: Networks,
  onClip: (done: number) => void,
): Promise<{ result: MethodResult; strips: Strip[] }> {
  const results: ClipResult[] = [];
  const strips: Strip[] = [];
  for await (const clip of clips) {
    const prediction = await method.make(clip);
    const { truth, staticVideo, handVideo } = clip;
    const score = scoreClip({
      prediction,
      truth: { name: clip.truthName, clip: truth },
      ...(staticVideo && { static: { name: clip.staticName!, clip: staticVideo } }),
      ...(handVideo && { hands: { name: clip.handName!, clip: handVideo } }),
    });
    const distances: [string, number][] = [];
    for (const [network, model] of lpips)
      distances.push([LPIPS_KEYS[network], mean(await model.frames(prediction.clip, truth))]);
    const handPck = await hands?.pck(clip, prediction.clip);
    results.push({
      clip: clip.name,
      ...(clip.action !== undefined && { action: clip.action }),
      ...score,
      ...Object.fromEntries(distances),
      ...(handPck !== undefined && { handPck }),
    });
    strips.push(stripOf(clip, prediction.clip));
    onClip(results.length);
  }
  return { result: methodResult(method.name, method.kind, results), strips };
}
