/**
 * What a model family is to everything else: how its files are known and read, what its transformer is told, and what
 * its conditions are made of. Pipeline, trainer, planner, commands and page know families through this and nothing
 * else; docs/add-a-model.md says how to add one.
 */
import type { Device, Precision, Tensor, TensorSpec } from '@dwm/core-tensor';
import type { ByteSource, ModelFolder } from '@dwm/core-tensor/files';
import type { Conditioning, ConditioningSource, ConditioningTools } from '../pipeline/conditioning.ts';
import type { Scheduler, SchedulerName } from '../schedulers/index.ts';
import type { T5Config } from '../text-encoder/config.ts';
import type { CausalMemory, CausalMemorySize } from '../transformer/index.ts';
import type { ClipCodec, LatentSize } from '../vae/index.ts';
import type { Fit } from '../video/transfer.ts';
import type { VideoSize } from '../video/video.ts';
import type { BlockStream } from '../weights/block-stream.ts';
import type { GivenLoras } from '../weights/lora-files.ts';
import type { LoraNeeds, MergedLora } from '../weights/merge-lora.ts';
import type { Parameters, StoredAs } from '../weights/parameters.ts';
import type { QuantizedDtype } from '../weights/quantized.ts';
import type { Weights } from '../weights/weights.ts';

export type LoadProgress = (doneBytes: number, totalBytes: number) => void;

/** A transformer's weights on a device. */
export interface LoadedTransformer<Config = unknown> {
  readonly config: Config;
  readonly parameters: Parameters;
  /** What was merged, where there was a LoRA. */
  readonly lora?: MergedLora;
  /** The blocks, where not all of them stay on the device. */
  readonly stream?: BlockStream;
}

export interface LoadTransformerOptions {
  /** Blocks that stay on the device, from the first on; the others are streamed. All are loaded unless told. */
  readonly residentBlocks?: number | undefined;
}

/** What a transformer is made with, as far as its family knows such. */
export interface NetworkOptions {
  /** Frames a second that positions in time are made for, where the network has such. */
  readonly fps?: number;
  /** Features of a picture [tokens, width], for networks that take any; zeros where left out. */
  readonly image?: Float32Array;
  /** One slower frequency of the positions in time, for clips longer than the network was made for. */
  readonly riflex?: Riflex;
  /** Parts of the rows that go through a feed-forward one after the other, for less memory. 1 unless told. */
  readonly feedForwardParts?: number;
}

/** arXiv:2502.15894: the frequency that would repeat within the clip is slowed. */
export interface Riflex {
  /** Which frequency, from 1. */
  readonly k: number;
  /** Latent frames of the clip. */
  readonly frames: number;
}

/** A LoRA that makes a model answer in fewer steps, as LightX2V publishes them. */
export interface DistilledLora {
  readonly source: ByteSource;
  /** How much it counts; 1 unless told. */
  readonly scale?: number;
  /** Refuse a file that does not cover the network, or of which a tensor finds no place. Default true. */
  readonly strict?: boolean;
  /** Add differences outside the blocks too. Default false. */
  readonly outsideBlocks?: boolean;
}

/** A transformer with its weights, as the denoiser sees it. */
export interface DenoisingNetwork {
  /** Width of the residual stream. */
  readonly width: number;
  /** Channels that go in: the noisy latents, then the condition. */
  readonly inputChannels: number;
  /** Channels that come out, those of the latents. */
  readonly latentChannels: number;
  /** Rows that a prompt is cut and padded to. */
  readonly textTokens: number;
  readonly textWidth: number;
  /** Edge of a patch in latent pixels, and its latent frames. */
  readonly patch: number;
  readonly framePatch: number;
  /** What it is told at each step besides latents and text, for a batch of one. */
  readonly told: Readonly<Record<string, TensorSpec>>;
  /** The values of `told` at a timestep. */
  readonly tell: (timestep: number) => Readonly<Record<string, Float32Array>>;
  /**
   * @param hidden [batch, latent frames, inputChannels, height, width].
   * @param text [batch, tokens, textWidth].
   * @returns the prediction [batch, latent frames, latentChannels, height, width].
   */
  readonly forward: (hidden: Tensor, text: Tensor, told: Readonly<Record<string, Tensor>>) => Tensor;
  /** What TeaCache goes by, where the family has it. */
  readonly teaCache?: {
    /** What the timestep is to the blocks, [batch, width], of `told` with a row for each of a batch. */
    readonly embed: (weights: Weights, told: Readonly<Record<string, Tensor>>) => Tensor;
    /** Of the published weights of this size, highest power first. */
    readonly coefficients: readonly number[] | undefined;
    /** Whether the last step is calculated whatever its timestep. */
    readonly calculatesLast: boolean;
  };
  /** Blocks between its first and last layers, all of the same shapes. */
  readonly blocks: number;
  /** What the names of a block's weights begin with. */
  readonly blockPrefix: (index: number) => string;
  /** How it runs block by block without end, where it looks back only. */
  readonly causal?: CausalNetwork;
  /** `forward` in parts, for weights that come and go. */
  readonly parts: (hidden: readonly number[], textLength: number) => NetworkParts;
}

/** A network that looks back only, block by block; keys and values have the names of `CausalMemory`. */
export interface CausalNetwork {
  /** Latent frames of a block. */
  readonly blockFrames: number;
  /** What a run remembers, and its shapes. */
  readonly memory: (device: Device, size: CausalMemorySize) => CausalMemory;
  readonly memorySpecs: (size: CausalMemorySize) => Readonly<Record<string, TensorSpec>>;
  /** Tables of where a block lies whose first latent frame is the run's `first`, by their names in `block`. */
  readonly positions: (
    size: Omit<CausalMemorySize, 'textLength'>,
    first: number,
  ) => Readonly<Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }>>;
  /** Keys and values of the text [1, tokens, textWidth]. */
  readonly text: (text: Tensor, told: Readonly<Record<string, Tensor>>) => Record<string, Tensor>;
  /**
   * @param hidden [1, blockFrames, inputChannels, height, width].
   * @param before a memory's tensors and its `mask`, and the tables of `positions`.
   * @returns `prediction` and the block's keys and values.
   */
  readonly block: (
    hidden: Tensor,
    told: Readonly<Record<string, Tensor>>,
    before: Readonly<Record<string, Tensor>>,
  ) => Record<string, Tensor>;
}

/** `x` is what the blocks hand on; the rest stays as `begin` made it. */
export type NetworkState = Readonly<Record<string, Tensor>> & { readonly x: Tensor };

/** Each part reads the weights that it is given. */
interface NetworkParts {
  readonly begin: (
    weights: Weights,
    hidden: Tensor,
    text: Tensor,
    told: Readonly<Record<string, Tensor>>,
  ) => NetworkState;
  /** @returns the next `x`. */
  readonly block: (weights: Weights, index: number, state: NetworkState) => Tensor;
  readonly end: (weights: Weights, state: NetworkState) => Tensor;
}

export type TextWeights = 'stay' | 'come in blocks';

/** Prompts to what the transformer reads. */
export interface TextReader {
  readonly width: number;
  /** [prompts, tokens, width], as many tokens as the network's `textTokens`. */
  encode(prompts: readonly string[], tokens: number, precision: Precision): Promise<Float32Array>;
  /** Tokens of a prompt before it is cut. */
  countTokens(prompt: string): number;
  destroy(): void;
}

/** How a run is made where neither the user nor the model says otherwise: the original's ways. */
export interface FamilyDefaults {
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  /** Frames a second of the videos that are written. */
  readonly fps: number;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  readonly negativePrompt: string;
  readonly seed: number;
  /** What makes a clip's seed of the run's: the clips of a list all have it, or each adds its place. */
  readonly seedOfClip: 'same' | 'add-place';
  /** Whether a seed of 0 stands for a seed of chance. */
  readonly zeroIsUnseeded: boolean;
  readonly tiling: boolean;
  /** Whether `enable_tiling` of an experiment file means anything. */
  readonly readsTiling: boolean;
  /** Frames of a video that are taken: those at the clip's rate, or simply its first. */
  readonly takes: 'in-time' | 'first';
  /** How videos of another size become the clip's: stretched, or whole with black bars. */
  readonly fit: Fit;
  /** Which chunks of a list are one clip longer where they do not divide: the first ones, or some all along. */
  readonly chunkRemainder: 'first' | 'spread';
}

/** What of `GenerateOptions` a family has no meaning for. */
export type UnknownOption = 'strength' | 'dynamicGuidance' | 'mask none';

/** A network's weights as a plan sees them. */
export interface StackShapes {
  /** Bytes of those that belong to no block. */
  readonly outerBytes: number;
  readonly blocks: number;
  /** Those of a block, by their name in it. */
  readonly block: Readonly<Record<string, TensorSpec>>;
  /** Bytes of the largest block, as the file has them. */
  readonly blockBytes: number;
}

/** A model's networks as names and shapes, for plans that read no weight. */
export interface ModelShapes {
  /** The transformer with all its blocks, to be planned in parts. */
  readonly stacked: (options?: NetworkOptions) => {
    readonly network: DenoisingNetwork;
    readonly weights: Parameters;
    readonly shapes: StackShapes;
  };
  /** LoRAs of its transformer. @throws InvalidFileError for one that does not fit it. */
  readonly loras: (given: GivenLoras) => Promise<LoraNeeds>;
  readonly vaeBytes: number;
  /** The transformer with one block between its first and last layers: all blocks have the same shapes. */
  readonly network: DenoisingNetwork;
  readonly vae: (device: Device, precision: Precision) => ClipCodec;
  readonly text?: { readonly config: T5Config; readonly stored: StoredAs; readonly shapes: StackShapes };
  readonly tiling: boolean;
  /** The same with the weights of blocks quantized, where they are not yet. */
  readonly quantized?: (dtype: QuantizedDtype) => ModelShapes;
}

/** A kind of model: how its files are known and read, and how it is run. */
export interface ModelFamily {
  readonly name: string;
  /** What `pipeline.type` of an experiment file says for it. */
  readonly pipelineTypes: readonly string[];
  /** Those of them whose networks know no hands: they generate without, and are not trained here. */
  readonly typesWithoutHands?: readonly string[];
  readonly defaults: FamilyDefaults;
  /** Why these options cannot be used, by option. */
  readonly lacks: Readonly<Partial<Record<UnknownOption, string>>>;
  /** Whether a run says what it is made with: where the defaults are not those of the commands' help. */
  readonly tellsDefaults: boolean;
  /** Whether text shorter than the network's rows is filled up with zeros. */
  readonly padsText: boolean;
  /** Whether a folder holds a model of this family. */
  recognises(folder: ModelFolder): Promise<boolean>;
  /**
   * Paths of the model's files in its folder.
   * @throws InvalidFileError that names every file that is missing.
   */
  files(folder: ModelFolder): Promise<string[]>;
  /** Whether the folder has what reads prompts. */
  hasText(folder: ModelFolder): Promise<boolean>;
  /** Width of the embeddings that the transformer reads, from its configuration. */
  textWidth(folder: ModelFolder): Promise<{ width: number; file: string }>;
  /** @param className reads the model's settings as another sampler. */
  loadScheduler(folder: ModelFolder, className?: SchedulerName): Promise<Scheduler>;
  /** Flow shift of a run of a sampler that is told it for each run, where the user says none. */
  runShift?(className: string): number | undefined;
  /** @param weights whether the encoder stays on the device, or comes a block at a time for each encoding. */
  loadText(
    device: Device,
    folder: ModelFolder,
    onProgress: LoadProgress,
    weights?: TextWeights,
  ): Promise<TextReader | undefined>;
  loadVae(
    device: Device,
    folder: ModelFolder,
    options: { readonly precision: Precision; readonly onProgress: LoadProgress },
  ): Promise<ClipCodec>;
  /** @param loras fine-tuned weights to merge in; several stay beside the network's. */
  loadTransformer(
    device: Device,
    folder: ModelFolder,
    loras: GivenLoras | undefined,
    onProgress: LoadProgress,
    options?: LoadTransformerOptions,
  ): Promise<LoadedTransformer>;
  /** @param loaded what `loadTransformer` gave, or one of the same kind that is being trained. */
  network(loaded: LoadedTransformer, options?: NetworkOptions): DenoisingNetwork;
  /**
   * Merges a LoRA that makes the model answer in fewer steps, after its own; only where the family knows such.
   * @throws InvalidFileError where it is none, or does not fit.
   */
  mergeDistilled?(device: Device, loaded: LoadedTransformer, file: DistilledLora): Promise<MergedLora>;
  /** @throws InvalidFileError when the parts of a model folder do not belong together. */
  checkParts(folder: string, loaded: LoadedTransformer, vae: ClipCodec, textWidth: number | undefined): void;
  /** The condition that stands beside the noisy latents, on the device, the caller's. */
  condition(tools: ConditioningTools, source: ConditioningSource): Promise<Conditioning>;
  /** Size of a clip's latents, from the configuration alone. */
  latentSize(folder: ModelFolder, size: VideoSize): Promise<LatentSize>;
  shapes(folder: ModelFolder): Promise<ModelShapes>;
}
