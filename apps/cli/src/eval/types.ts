/** What an evaluation is made of: clips, methods that make a video of a clip, and the numbers that come out. */
import type { Interval, Score } from '@dwm/dwm-model/metrics';
import type { Frames } from '@dwm/media/node';
import type { Action } from '@dwm/synth';

/** A clip to be judged, read and at the size of the evaluation. */
export interface EvalClip {
  readonly name: string;
  /** Place in the list, which is added to a model's seed. */
  readonly index: number;
  /** Of clips by `dwm synth`. */
  readonly action?: string;
  /** Likewise: what it takes to simulate something else in the same room. */
  readonly simulated?: {
    readonly seed: number;
    readonly room: Action;
    readonly fixedCamera: boolean;
    readonly fps: number;
  };
  readonly truth: Frames;
  readonly truthName: string;
  readonly staticVideo?: Frames;
  readonly staticName?: string;
  readonly handVideo?: Frames;
  readonly handName?: string;
}

const KINDS = ['predictions', 'model', 'ablation', 'baseline'] as const;
export type MethodKind = (typeof KINDS)[number];

export const METRICS = [
  { key: 'psnr', title: 'PSNR', unit: 'dB', digits: 2, better: 'high' },
  { key: 'psnrChanged', title: 'PSNR changed', unit: 'dB', digits: 2, better: 'high' },
  { key: 'psnrUnchanged', title: 'PSNR unchanged', unit: 'dB', digits: 2, better: 'high' },
  { key: 'ssim', title: 'SSIM', unit: '', digits: 3, better: 'high' },
  { key: 'ssimChanged', title: 'SSIM changed', unit: '', digits: 3, better: 'high' },
  { key: 'ssimUnchanged', title: 'SSIM unchanged', unit: '', digits: 3, better: 'high' },
  { key: 'lpipsVgg', title: 'LPIPS vgg', unit: '', digits: 3, better: 'low' },
  { key: 'lpipsAlex', title: 'LPIPS alex', unit: '', digits: 3, better: 'low' },
  { key: 'lpipsSqueeze', title: 'LPIPS squeeze', unit: '', digits: 3, better: 'low' },
  { key: 'psnrStatic', title: 'to static', unit: 'dB', digits: 2, better: 'high' },
  { key: 'outcome', title: 'outcome', unit: 'share', digits: 2, better: 'high' },
  { key: 'gradient', title: 'gradient', unit: 'of truth', digits: 2, better: 'high' },
  { key: 'gradientEnergy', title: 'its energy', unit: 'of truth', digits: 2, better: 'high' },
  { key: 'flicker', title: 'flicker', unit: '/255', digits: 2, better: 'low' },
  { key: 'handIou', title: 'hand IoU', unit: '', digits: 3, better: 'high' },
  { key: 'handPck', title: 'hand PCK', unit: 'share', digits: 3, better: 'high' },
] as const;

type MetricKey = (typeof METRICS)[number]['key'];

export interface ClipResult extends Score {
  readonly clip: string;
  readonly action?: string;
  readonly lpipsVgg?: number;
  readonly lpipsAlex?: number;
  readonly lpipsSqueeze?: number;
  /** Share of the hands' points that are where they should be. */
  readonly handPck?: number | null;
}

export type Summary = Partial<Record<MetricKey, Interval>>;

export interface MethodResult {
  readonly name: string;
  readonly kind: MethodKind;
  readonly summary: Summary;
  /** By action, where clips say theirs. */
  readonly byAction: Readonly<Record<string, Summary>>;
  readonly clips: readonly ClipResult[];
}

export interface Evaluation {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly methods: readonly MethodResult[];
}
