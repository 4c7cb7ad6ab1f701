/**
 * CLIP (Radford et al. 2021) from a folder as transformers writes it: texts and pictures as vectors of one space, whose
 * cosine says how well they fit.
 */
import {
  compile,
  type Device,
  InvalidFileError,
  type Program,
  spec,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';
import { type ModelFolder, openCheckpoint } from '@dwm/core-tensor/files';
import type { Video } from '../video/video.ts';
import { readJson } from '../weights/config.ts';
import { loadParameters, type Parameters } from '../weights/parameters.ts';
import { type CLIPConfig, readCLIPConfig } from './config.ts';
import { isUnusedByCLIP, towerParameters } from './parameters.ts';
import { type CLIPPreprocessing, preprocess, readPreprocessing } from './preprocess.ts';
import { endOfText, LEGACY_END, textTower } from './text.ts';
import type { CLIPTokenizer } from './tokenizer.ts';
import { readCLIPTokenizer } from './tokenizer-files.ts';
import { visionTower } from './vision.ts';

/** Beside `config.json`; any of the alternatives will do. */
const FILES = [
  ['preprocessor_config.json'],
  ['tokenizer.json', 'vocab.json'],
  ['tokenizer.json', 'merges.txt'],
  ['model.safetensors', 'model.safetensors.index.json'],
];

type Compiled = Program<{ input: TensorSpec }, { out: Tensor }>;

/** CLIP: texts and pictures into one space of vectors. */
export class CLIPModel {
  readonly config: CLIPConfig;
  readonly #device: Device;
  readonly #parameters: Parameters;
  readonly #tokenizer: CLIPTokenizer;
  readonly #preprocessing: CLIPPreprocessing;
  /** One for pictures, and one for every number of tokens. */
  readonly #programs = new Map<string, Compiled>();

  private constructor(
    device: Device,
    config: CLIPConfig,
    parameters: Parameters,
    tokenizer: CLIPTokenizer,
    preprocessing: CLIPPreprocessing,
  ) {
    this.config = config;
    this.#device = device;
    this.#parameters = parameters;
    this.#tokenizer = tokenizer;
    this.#preprocessing = preprocessing;
  }

  /**
   * @param folder `config.json`, `model.safetensors` or its shards, `preprocessor_config.json`, and `tokenizer.json` or
   *   `vocab.json` with `merges.txt`.
   * @throws InvalidFileError naming file and field, before any weight is read.
   */
  static async load(device: Device, folder: ModelFolder): Promise<CLIPModel> {
    await checkFile(folder, ['config.json']);
    const { json, file } = await readJson(folder, 'config.json');
    const config = readCLIPConfig(json, file);
    for (const alternatives of FILES) await checkFile(folder, alternatives);
    const processor = await readJson(folder, 'preprocessor_config.json');
    const preprocessing = readPreprocessing(processor.json, processor.file, config.vision.imageSize);
    const tokenizer = await readCLIPTokenizer(folder);
    checkTokens(config, tokenizer, file);
    const checkpoint = await openCheckpoint(folder, 'model');
    try {
      const specs = towerParameters(config);
      const parameters = await loadParameters(device, checkpoint, specs, { ignore: isUnusedByCLIP });
      return new CLIPModel(device, config, parameters, tokenizer, preprocessing);
    } finally {
      await checkpoint.close();
    }
  }

  /** Tokens of a whole text; those past `config.text.positions` are not read. */
  tokenCount(text: string): number {
    return this.#tokenizer.encode(text, this.config.text.positions).tokenCount;
  }

  /** @returns [projection], of length 1. */
  async embedText(text: string): Promise<Float32Array> {
    const { positions, endToken } = this.config.text;
    const { ids } = this.#tokenizer.encode(text, positions);
    const read = ids.subarray(0, endOfText(ids, endToken) + 1);
    const input = spec([1, read.length], 'u32');
    return this.#run(`text ${read.length}`, input, read, (x) => textTower(this.config, this.#parameters, x));
  }

  /** @param frame one frame, of any size. @returns [projection], of length 1. */
  async embedImage(frame: Video): Promise<Float32Array> {
    const { crop } = this.#preprocessing;
    const pixels = preprocess(frame, this.#preprocessing);
    const input = spec([3, crop, crop]);
    return this.#run('picture', input, pixels, (x) => visionTower(this.config, this.#parameters, x));
  }

  destroy(): void {
    for (const program of this.#programs.values()) program.destroy();
    this.#programs.clear();
    this.#parameters.destroy();
  }

  async #run(
    key: string,
    input: TensorSpec,
    values: Float32Array | Uint32Array,
    network: (x: Tensor) => Tensor,
  ): Promise<Float32Array> {
    let program = this.#programs.get(key);
    if (!program) {
      program = await compile(this.#device, { input }, ({ input: x }) => ({ out: network(x) }));
      this.#programs.set(key, program);
    }
    const { out } = await program.run({ input: values });
    const vector = (await out.read()) as Float32Array;
    const length = Math.hypot(...vector);
    return vector.map((value) => value / length);
  }
}

/** @throws InvalidFileError where the folder has none of the files. */
async function checkFile(folder: ModelFolder, alternatives: readonly string[]): Promise<void> {
  const found = await Promise.all(alternatives.map((name) => folder.exists(name)));
  if (found.includes(true)) return;
  throw new InvalidFileError(
    folder.name,
    `holds no ${alternatives.join(' or ')}; expected a CLIP model, its tokenizer and its image processor, each saved by transformers with save_pretrained`,
    { expected: alternatives },
  );
}

/** @throws InvalidFileError where the network lacks a token's embedding, or looks for another end of text. */
function checkTokens({ text }: CLIPConfig, { size, endId }: CLIPTokenizer, file: string): void {
  const check = (field: string, actual: number, expected: number, fits: boolean) => {
    if (fits) return;
    throw new InvalidFileError(
      file,
      `text_config.${field}: ${actual}, but the tokenizer needs ${expected}; do its files belong to this model?`,
      { field: `text_config.${field}`, expected, actual },
    );
  };
  check('vocab_size', text.vocabulary, size, size <= text.vocabulary);
  check('eos_token_id', text.endToken, endId, text.endToken === LEGACY_END || text.endToken === endId);
}
