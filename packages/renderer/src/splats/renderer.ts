/**
 * Draws a splat scene: project every splat, sort by depth, list the splats of every tile, blend. One frame submits
 * a few command buffers and waits once, for the number of (tile, splat) pairs, which sets the sizes of the rest.
 */
import { type Device, type DeviceBuffer, InvalidArgumentError, Turns } from '@dwm/core-tensor';
import type { RenderTarget } from '../gpu/render-target.ts';
import { DEFAULT_NEAR, type View } from '../gpu/view.ts';
import { blendShader, RESOLVE_SIDE, resolveShader, tileSize } from './blend.ts';
import { computePipeline, dispatch, Scratch, Uniforms } from './compute.ts';
import { frameUniform, PROJECT_THREADS, PROJECTED_BYTES, projectShader } from './project.ts';
import { createRadixSort, type KeyedBuffers, type RadixSort, SORT_SLOTS } from './radix-sort.ts';
import { createScan, type Scan } from './scan.ts';
import type { SplatScene } from './scene.ts';
import { COUNT_TILES, EMIT_PAIRS, TILE_RUNS, TILE_THREADS } from './tiles.ts';

/** (tile, splat) pairs handled at a time, 16 bytes each, where bindings are not smaller still. */
const WINDOW = 1 << 23;

/** A pixel in `colorTensor` and `depthTensor`. */
const COLOR_BYTES = 16;
const DEPTH_BYTES = 8;

/** How splats are drawn. */
export interface SplatOptions {
  /** Display colour behind the splats, each in [0, 1]; black by default. */
  readonly background?: readonly [number, number, number];
  /** Meshes drawn with the same view, in place of the background; they and the splats hide each other. */
  readonly over?: RenderTarget;
  /**
   * Lowers opacity by what the low-pass filter adds in area (Mip-Splatting's 2D filter), for clouds trained with it;
   * by default where the file says so.
   */
  readonly compensate?: boolean;
}

/** A rendered view. Textures and buffers are the image's own until `destroy`. */
export interface SplatImage {
  readonly width: number;
  readonly height: number;
  /** rgba16float: colour over the background, clipped to [0, 1], and coverage by splats. */
  readonly color: GPUTexture;
  /** r32float: mean depth of what is seen, weighted by contribution, along the viewing axis; 0 where nothing is. */
  readonly depth: GPUTexture;
  /** r32float: depth of the splat that brings coverage to one half; 0 where it never gets there. */
  readonly medianDepth: GPUTexture;
  /** `color` in f32, [height, width, 4]. */
  readonly colorTensor: DeviceBuffer;
  /** Mean and median depth in f32, [height, width, 2]. */
  readonly depthTensor: DeviceBuffer;
  destroy(): void;
}

interface Pipelines {
  readonly count: GPUComputePipeline;
  readonly emit: GPUComputePipeline;
  readonly runs: GPUComputePipeline;
  readonly sort: RadixSort;
  readonly scan: Scan;
}

/** What the first half of a frame leaves for the second. */
interface Listed {
  readonly projected: DeviceBuffer;
  /** Splats by depth. */
  readonly order: DeviceBuffer;
  /** Number of the first pair of each, in that order. */
  readonly starts: DeviceBuffer;
  readonly pairs: number;
}

/** Draws Gaussian splats. */
export class SplatRenderer {
  readonly device: Device;
  readonly #scratch: Scratch;
  readonly #uniforms: Uniforms;
  readonly #tile: number;
  readonly #window: number;
  readonly #kind: 'software' | 'hardware';
  #pipelines: Promise<Pipelines> | undefined;
  /** Frames run one after the other: they share the scratch buffers. */
  readonly #turns = new Turns();

  /** @param kind whose variants to use; tests of one kind of device run the other's. */
  constructor(device: Device, kind = device.caps.adapter.kind) {
    this.device = device;
    this.#kind = kind;
    this.#scratch = new Scratch(device, 'splat');
    this.#uniforms = new Uniforms(device, 4 * SORT_SLOTS, 'splat');
    this.#tile = tileSize(kind);
    this.#window = Math.min(WINDOW, Math.floor(device.caps.limits.maxStorageBufferBindingSize / 4));
  }

  /**
   * Draws one view. Splats with a depth of `view.near` (0.2 by default, unlike the meshes' 0.01) or less are dropped.
   * @throws InvalidArgumentError for a camera that makes no picture or a scene too large for this device,
   * OutOfMemoryError, DeviceLostError.
   */
  render(scene: SplatScene, view: View, options: SplatOptions = {}): Promise<SplatImage> {
    return this.#turns.take(() => this.#render(scene, view, options));
  }

  /** Frees what it works with; images stay. */
  destroy(): void {
    this.#scratch.destroy();
    this.#uniforms.destroy();
  }

  async #render(scene: SplatScene, view: View, options: SplatOptions): Promise<SplatImage> {
    checkView(this.device, view);
    const { device } = this;
    const { width, height } = view.intrinsics;
    const { background = [0, 0, 0], over } = options;
    if (over && (over.width !== width || over.height !== height)) {
      const field = 'meshes to draw splats over';
      throw new InvalidArgumentError(
        field,
        `expected the view's ${width}x${height} pixels, got ${over.width}x${over.height}`,
      );
    }
    const tiles = [Math.ceil(width / this.#tile), Math.ceil(height / this.#tile)] as const;
    const behind = over && { color: over.color.createView(), depth: over.depth.createView() };
    const meshNear = view.near ?? DEFAULT_NEAR;
    const [pipelines, project, blend, resolve] = await Promise.all([
      this.#compile(),
      computePipeline(device, 'splat project', projectShader(scene.degree, this.#tile)),
      computePipeline(device, 'splat blend', blendShader(this.#tile, behind !== undefined)),
      computePipeline(device, 'splat resolve', resolveShader(behind !== undefined)),
    ]);
    const compensate = options.compensate ?? scene.antialiased;
    const listed = await this.#list(pipelines, project, scene, view, tiles, compensate);
    const image = createImage(device, width, height);
    try {
      for (let first = 0; first === 0 || first < listed.pairs; first += this.#window) {
        const end = Math.min(listed.pairs, first + this.#window);
        const runs = this.#scratch.get('runs', 8 * tiles[0] * tiles[1]);
        this.#submit(runs, (pass) => {
          const splats = this.#sortByTile(pass, pipelines, listed, runs, scene.count, [first, end], tiles);
          const words = Uint32Array.of(width, height, tiles[0], first === 0 ? 1 : 0, 0);
          new Float32Array(words.buffer)[4] = meshNear;
          const frame = this.#uniforms.add(words);
          const bindings = [frame, listed.projected, splats, runs, image.colorTensor, image.depthTensor];
          dispatch(device, pass, blend, behind ? [...bindings, behind.depth] : bindings, tiles);
        });
      }
      this.#submit(undefined, (pass) => {
        const frame = new Float32Array(8);
        new Uint32Array(frame.buffer).set([width, height]);
        frame[2] = meshNear;
        frame.set(background, 4);
        const textures = [image.color, image.depth, image.medianDepth].map((texture) => texture.createView());
        const bindings = [this.#uniforms.add(frame), image.colorTensor, image.depthTensor, ...textures];
        const groups = [Math.ceil(width / RESOLVE_SIDE), Math.ceil(height / RESOLVE_SIDE)] as const;
        dispatch(
          device,
          pass,
          resolve,
          behind ? [...bindings, behind.color, behind.depth] : bindings,
          groups,
        );
      });
    } catch (error) {
      image.destroy();
      throw error;
    }
    return image;
  }

  /** Projects the splats, sorts them by depth and numbers their (tile, splat) pairs. */
  async #list(
    { count, sort, scan }: Pipelines,
    project: GPUComputePipeline,
    scene: SplatScene,
    view: View,
    tiles: readonly [number, number],
    compensate: boolean,
  ): Promise<Listed> {
    const { device } = this;
    const splats = scene.count;
    const projected = this.#scratch.get('projections', PROJECTED_BYTES * splats);
    const byDepth = this.#keyed('depth', splats);
    const spare = this.#keyed('spare depth', splats);
    const starts = this.#scratch.get('starts', 4 * splats);
    let order = byDepth.values;
    let total = starts;
    this.#submit(undefined, (pass) => {
      for (const part of scene.parts) {
        const frame = this.#uniforms.add(frameUniform(view, tiles, part.first, part.count, compensate));
        const bindings = [frame, part.shapes, part.sh, projected, byDepth.keys, byDepth.values];
        dispatch(device, pass, project, bindings, Math.ceil(part.count / PROJECT_THREADS));
      }
      order = sort.encode(pass, byDepth, spare, splats, 32, this.#uniforms).values;
      const size = this.#uniforms.words(splats);
      dispatch(device, pass, count, [size, projected, order, starts], Math.ceil(splats / TILE_THREADS));
      total = scan.encode(pass, starts, splats, this.#uniforms, 'pairs');
    });
    const [pairs] = new Uint32Array(await device.read(total, 0, 4));
    if (pairs === 0xffffffff) {
      throw new InvalidArgumentError(
        'splats',
        `${splats} splats cover more than 2^32 tiles of this view: the camera is inside most of them, move it or thin the cloud out`,
        { splats },
      );
    }
    return { projected, order, starts, pairs };
  }

  /** Encodes the pairs [first, end), tile by tile in depth order, and where each tile's begin and end. */
  #sortByTile(
    pass: GPUComputePassEncoder,
    { emit, runs: findRuns, sort }: Pipelines,
    { projected, order, starts }: Listed,
    runs: DeviceBuffer,
    splats: number,
    [first, end]: readonly [number, number],
    [columns, rows]: readonly [number, number],
  ): DeviceBuffer {
    const { device } = this;
    const count = end - first;
    const byTile = this.#keyed('tile', count);
    const window = this.#uniforms.words(splats, first, end, columns);
    const emitted = [window, projected, order, starts, byTile.keys, byTile.values];
    dispatch(device, pass, emit, emitted, count > 0 ? Math.ceil(splats / TILE_THREADS) : 0);
    const bits = Math.ceil(Math.log2(columns * rows));
    const sorted = sort.encode(pass, byTile, this.#keyed('spare tile', count), count, bits, this.#uniforms);
    const size = this.#uniforms.words(count);
    dispatch(device, pass, findRuns, [size, sorted.keys, runs], Math.ceil(count / TILE_THREADS));
    return sorted.values;
  }

  #keyed(name: string, count: number): KeyedBuffers {
    const bytes = Math.max(4, 4 * count);
    return {
      keys: this.#scratch.get(`${name} keys`, bytes),
      values: this.#scratch.get(`${name} values`, bytes),
    };
  }

  /** Submits one compute pass, after zeroing `cleared`. */
  #submit(cleared: DeviceBuffer | undefined, encode: (pass: GPUComputePassEncoder) => void): void {
    this.#uniforms.reset();
    const encoder = this.device.gpu.createCommandEncoder();
    if (cleared) encoder.clearBuffer(cleared.gpu);
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  #compile(): Promise<Pipelines> {
    const { device } = this;
    this.#pipelines ??= Promise.all([
      computePipeline(device, 'splat tile counts', COUNT_TILES),
      computePipeline(device, 'splat pairs', EMIT_PAIRS),
      computePipeline(device, 'splat tile runs', TILE_RUNS),
      createRadixSort(device, this.#scratch, this.#kind),
      createScan(device, this.#scratch),
    ]).then(([count, emit, runs, sort, scan]) => ({ count, emit, runs, sort, scan }));
    return this.#pipelines;
  }
}

function checkView(device: Device, { intrinsics, pose, near }: View): void {
  const { fx, fy, cx, cy, width, height } = intrinsics;
  const most = device.gpu.limits.maxTextureDimension2D;
  for (const [field, size] of Object.entries({ width, height })) {
    if (!Number.isInteger(size) || size < 1 || size > most) {
      throw new InvalidArgumentError(`camera ${field}`, `expected 1 to ${most} whole pixels, got ${size}`);
    }
  }
  const bytes = COLOR_BYTES * width * height;
  const limit = device.caps.limits.maxStorageBufferBindingSize;
  if (bytes > limit) {
    throw new InvalidArgumentError(
      'camera size',
      `${width}x${height} pixels take ${bytes} bytes in one binding, this device allows ${limit}: render fewer pixels`,
      { bytes, limit },
    );
  }
  for (const [field, value] of Object.entries({ fx, fy, near: near ?? 1 })) {
    if (!(value > 0 && value < 1e6)) {
      throw new InvalidArgumentError(
        `camera ${field}`,
        `expected a number over 0 and under 1e6, got ${value}`,
      );
    }
  }
  for (const [field, values] of Object.entries({ cx: [cx], cy: [cy], pose: pose.matrix })) {
    if (!values.every((value) => Math.abs(value) < 1e9)) {
      throw new InvalidArgumentError(
        `camera ${field}`,
        `expected finite numbers, got ${Array.from(values).join(' ')}`,
      );
    }
  }
}

function createImage(device: Device, width: number, height: number): SplatImage {
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
  const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_SRC;
  const texture = (label: string, format: GPUTextureFormat) =>
    device.gpu.createTexture({ label, size: [width, height], format, usage });
  const color = texture('splat color', 'rgba16float');
  const depth = texture('splat depth', 'r32float');
  const medianDepth = texture('splat median depth', 'r32float');
  const textures = [color, depth, medianDepth];
  const buffers: DeviceBuffer[] = [];
  const destroy = () => {
    for (const held of [...textures, ...buffers]) held.destroy();
  };
  try {
    for (const bytes of [COLOR_BYTES, DEPTH_BYTES]) {
      buffers.push(device.createBuffer(bytes * width * height, storage, 'splat image'));
    }
  } catch (error) {
    destroy();
    throw error;
  }
  const [colorTensor, depthTensor] = buffers;
  return { width, height, color, depth, medianDepth, colorTensor, depthTensor, destroy };
}
