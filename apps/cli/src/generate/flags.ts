/** The flags of `dwm generate`: as they are given, with the experiment file's values, and with the model's. */
import type { RunSettings } from '@dwm/dwm-model';
import type { ShortcutFlags } from '../commands/options.ts';
import type { RemoteRoot } from '../remote/remote-root.ts';
import type { DrawFlags } from '../render/options.ts';
import type { WorkerFlags } from '../work/claim.ts';
import type { Ablation } from './ablate.ts';
import type { LoraFlag } from './check.ts';

/** Flags as commander gives them; settings that are left out are the model's. */
export interface Given extends Partial<RunSettings>, DrawFlags, WorkerFlags, ShortcutFlags {
  model?: string;
  /** Each time that it is given. */
  checkpointPath?: string[];
  experimentConfig?: string;
  override?: string[];
  staticVideo?: string;
  handVideo?: string;
  scene?: string[];
  trajectory?: string;
  video?: string;
  prompt?: string;
  promptFile?: string;
  promptEmbeds?: string;
  negativePrompt?: string;
  useEmptyPrompts?: true;
  promptPrefix?: string;
  out?: string;
  outputDir?: string;
  suffix?: string;
  dataRoot?: string;
  datasetFile?: string;
  variantManifestJson?: string;
  promptSubdir?: string;
  staticSubdir?: string;
  handSubdir?: string;
  followLinks?: true;
  datasetOutputLayout: 'flat' | 'per_sample';
  maxSamples?: number;
  shuffleDataset?: boolean;
  shuffleSeed?: number;
  skipExisting?: true;
  chunkId?: number;
  numChunks?: number;
  shardRank?: number;
  numShards?: number;
  dynamicGuidance?: true;
  seed: number;
  strength: number;
  latents?: string;
  saveTensors?: string;
  precision: 'f32' | 'f16';
  tiling?: boolean;
  ablate?: Ablation;
  modelFps?: number;
  lightx2vLoraPath?: string;
  lightx2vLoraScale?: number;
  lightx2vCompatMode?: 'auto' | 'force_compat' | 'off';
  lightx2vCompatStrict?: boolean;
  memory?: number;
  dryRun?: true;
  device?: string;
  resume?: true;
}

/** Flags with what the experiment file says where they say nothing. */
export type Asked = Given & {
  readonly loras: readonly LoraFlag[];
  readonly promptSubdir: string;
  /** Where the data root is one over the network. */
  readonly remote?: RemoteRoot;
  /** The type of the model, where it knows no hands. */
  readonly withoutHands?: string;
  /** Only the first frame of the static video is seen. */
  readonly firstFrameOnly: boolean;
};

/** What a run is made with: the model's settings wherever nothing else is said. */
export type Flags = Asked & RunSettings & { readonly negativePrompt: string; readonly tiling: boolean };

/** Whether the clips are those of a list, or of a manifest. */
export const isMany = ({ datasetFile, variantManifestJson }: Given): boolean =>
  (datasetFile ?? variantManifestJson) !== undefined;
