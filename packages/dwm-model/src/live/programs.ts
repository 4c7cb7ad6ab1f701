/** The programs of a live run as graphs: the engine compiles them, and a plan counts what they take. */
import {
  broadcastTo,
  concat,
  constant,
  type DeviceTensor,
  mul,
  slice,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import type { CausalNetwork, DenoisingNetwork } from '../families/family.ts';
import { composited } from '../pipeline/composite.ts';
import type { ClipCodec } from '../vae/index.ts';
import { displayedBytes, unit } from '../video/transfer.ts';

/** A graph by its name: the same name is the same graph. */
export interface LiveProgram {
  readonly name: string;
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  readonly run: (given: Record<string, Tensor>) => Record<string, Tensor>;
}

/** What the programs depend on. */
export interface LiveShape {
  readonly network: DenoisingNetwork;
  readonly causal: CausalNetwork;
  readonly vae: ClipCodec;
  readonly height: number;
  readonly width: number;
  readonly textLength: number;
}

/** Frames of a run's first block, and of those that follow. */
export function blockFramesOf({ causal, vae }: LiveShape, isFirst: boolean): number {
  const { temporalRatio } = vae.shape;
  return temporalRatio * causal.blockFrames - (isFirst ? temporalRatio - 1 : 0);
}

/** Latents of a block. */
export const blockLatents = ({ causal, vae, height, width }: LiveShape) =>
  vae.latentSize({ frames: 1 + (causal.blockFrames - 1) * vae.shape.temporalRatio, height, width });

export function livePrograms(shape: LiveShape) {
  const { network, causal, vae, height, width, textLength } = shape;
  const latent = blockLatents(shape);
  const scaling = vae.shape.scalingFactor;
  const { blockFrames } = causal;
  const picture = { height: latent.height, width: latent.width };
  const latents = spec([1, blockFrames, latent.channels, latent.height, latent.width]);
  const pixels = (frames: number) => spec([1, frames, height, width, 3]);
  return {
    /** Bytes as a video. */
    up: (frames: number): LiveProgram => ({
      name: `up ${frames}`,
      inputs: { bytes: { ...pixels(frames), dtype: 'u8' } },
      run: ({ bytes }) => ({ video: unit(bytes) }),
    }),
    /** Keys and values of the text. */
    text: (): LiveProgram => {
      const { ofs } = network.told;
      return {
        name: 'text',
        inputs: { text: spec([1, textLength, network.textWidth]), ...(ofs && { ofs }) },
        run: ({ text, ...told }) => causal.text(text, told),
      };
    },
    /** Scaled latents of static frames, of their moments; one fills a block. */
    scene: (moments: DeviceTensor): LiveProgram => ({
      name: `static ${moments.shape[1]}`,
      inputs: {},
      run: () => ({ latents: mul(broadcastTo(vae.posterior(moments).mode(), latents.shape), scaling) }),
    }),
    /** The first frames of a block's latents as the VAE takes them. */
    plain: (frames: number): LiveProgram => ({
      name: `plain ${frames}`,
      inputs: { latents },
      run: (given) => ({ plain: mul(slice(given.latents, 1, 0, frames), 1 / scaling) }),
    }),
    /** Bytes of so many frames, composited over a scene of so many, if any. */
    finish: (frames: number, scene: number | undefined): LiveProgram => {
      const beside = scene !== undefined && { decoded: pixels(scene), own: pixels(scene) };
      return {
        name: `finish ${frames} over ${scene}`,
        inputs: { video: pixels(frames), ...beside },
        run: (x) => ({
          bytes: displayedBytes(
            beside ? composited(x.video, x.decoded, x.own, vae.shape.ratio / 2) : x.video,
          ),
        }),
      };
    },
    /** The transformer on one block. @param moments of the block's hands. */
    block: (moments: DeviceTensor): LiveProgram => {
      const memory = causal.memorySpecs({ ...picture, textLength });
      const tables = Object.entries(causal.positions(picture, 0));
      return {
        name: 'block',
        inputs: {
          ...{ sample: latents, static: latents, inputScale: spec([1]), ...network.told, ...memory },
          mask: spec([1, memory.k0.shape[1]], 'u32'),
          ...Object.fromEntries(tables.map(([name, { shape: of }]) => [name, spec(of)])),
        },
        run({ sample, static: scene, inputScale, ...given }) {
          const told = Object.fromEntries(Object.keys(network.told).map((name) => [name, given[name]]));
          const hands = mul(vae.posterior(moments).mode(), scaling);
          const mask = broadcastTo(constant(Float32Array.of(scaling), [1]), [
            ...[1, blockFrames, 1, latent.height, latent.width],
          ]);
          return causal.block(concat([mul(sample, inputScale), mask, scene, hands], 2), told, given);
        },
      };
    },
  };
}
