/**
 * A T5 encoder that is on the device only while it encodes, two of its blocks at a time and of its token table only the
 * rows of the prompt. Every encoding reads the file once, as loading it does.
 */
import { type Device, DeviceTensor, evaluate, parameter, type Tensor } from '@dwm/core-tensor';
import { type Checkpoint, toFloat32 } from '@dwm/core-tensor/files';
import { Scratch } from '../pipeline/scratch.ts';
import { type LoopState, runBlocks } from '../weights/block-loop.ts';
import { BlockStream } from '../weights/block-stream.ts';
import { loadParameters, type Parameters } from '../weights/parameters.ts';
import { withScales } from '../weights/quantized.ts';
import type { T5Config } from './config.ts';
import { isT5Outer, t5BlockPrefix, t5Parameters, t5Parts, tokenTables } from './network.ts';
import { checkIds, flatten, type T5EncodeOptions, type TokenRows } from './t5-encoder.ts';

export interface OpenedT5 {
  readonly config: T5Config;
  readonly checkpoint: Checkpoint;
}

export class T5Streamed {
  readonly config: T5Config;
  readonly #device: Device;
  readonly #checkpoint: Checkpoint;

  /** Takes over the checkpoint. @throws InvalidFileError as `T5Encoder.fromCheckpoint`, before any weight is read. */
  static async open(device: Device, { config, checkpoint }: OpenedT5): Promise<T5Streamed> {
    const encoder = new T5Streamed(device, { config, checkpoint });
    try {
      const none = await encoder.#load(() => false);
      none.destroy();
      return encoder;
    } catch (error) {
      await checkpoint.close();
      throw error;
    }
  }

  private constructor(device: Device, { config, checkpoint }: OpenedT5) {
    this.#device = device;
    this.config = config;
    this.#checkpoint = checkpoint;
  }

  destroy(): void {
    this.#checkpoint.close().catch(() => {});
  }

  get #table(): string {
    const tables = tokenTables(this.config);
    return tables.find((name) => this.#checkpoint.tensors.has(name)) ?? tables[0];
  }

  #load(only: (name: string) => boolean): Promise<Parameters> {
    const tables = tokenTables(this.config);
    return loadParameters(this.#device, this.#checkpoint, t5Parameters(this.config, this.#table), {
      ignore: (name) => tables.includes(name),
      only,
    });
  }

  /** As `T5Encoder.encode`. */
  async encode(
    ids: TokenRows,
    shape: readonly [batch: number, tokens: number],
    { mask, precision = 'f32' }: T5EncodeOptions = {},
  ): Promise<DeviceTensor> {
    const { config } = this;
    const device = this.#device;
    const flatIds = flatten('ids', ids, shape);
    checkIds(config, flatIds);
    const rows = toFloat32(await this.#checkpoint.readRows(this.#table, [...flatIds]));
    const outer = await this.#load((name) => isT5Outer(config, name));
    const table = this.#table;
    const prefix = (index: number) => t5BlockPrefix(config, index);
    const stream = new BlockStream(device, {
      ...withScales({ checkpoint: this.#checkpoint, specs: t5Parameters(config, table) }),
      ...{ blocks: config.blocks, prefix, resident: 0, kept: outer },
      outer: (name) => isT5Outer(config, name),
    });
    const { sharedBias, block, end } = t5Parts(config, shape);
    const own = new Scratch();
    const once = async (out: Tensor) => (await evaluate(device, { out }, precision)).out;
    try {
      const x = own.keep(DeviceTensor.from(device, rows, [...shape, config.width], 'f32', 'text rows'));
      const shared = sharedBias(outer);
      const bias = shared && own.keep(await once(shared));
      const seen =
        mask && own.keep(DeviceTensor.from(device, flatten('mask', mask, shape), shape, 'u32', 'mask'));
      const state: LoopState = { x, ...(bias && { bias }), ...(seen && { mask: seen }) };
      await runBlocks(
        device,
        stream,
        (weights, given) => block(weights, 0, given),
        prefix(0),
        [state],
        precision,
      );
      return await once(end(outer, parameter(x)));
    } finally {
      await stream.release();
      outer.destroy();
      own.destroy();
    }
  }
}
