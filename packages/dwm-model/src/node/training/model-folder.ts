/**
 * Model folders that a run makes: a base whose missing weights are drawn at random, and the trained model, which
 * is the base with the trained part in it. What a run does not change is linked, not copied.
 */
import { createReadStream } from 'node:fs';
import { link, mkdir, readdir, realpath, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { type ModelFolder, subfolder } from '@dwm/core-tensor/files';
import { openDirectory, saveSafetensors, type TensorToSave, writeFileAtomic } from '@dwm/core-tensor/node';
import { readT5Config } from '../../text-encoder/config.ts';
import { t5Parameters } from '../../text-encoder/network.ts';
import { initialVae } from '../../training/initial-vae.ts';
import {
  type InitialWeights,
  initialTextEncoder,
  initialTransformer,
} from '../../training/initial-weights.ts';
import { readTransformerConfig, transformerParameters } from '../../transformer/index.ts';
import { readVaeConfig, vaeParameters } from '../../vae/index.ts';
import { readJson } from '../../weights/config.ts';
import type { ParameterSpecs } from '../../weights/parameters.ts';
import { kohyaHashes } from './kohya-hashes.ts';

/** What goes into a model folder or a checkpoint: safetensors files and texts, by path. */
export interface ModelFiles {
  readonly weights: ReadonlyMap<string, ReadonlyMap<string, TensorToSave>>;
  readonly texts: ReadonlyMap<string, string>;
  /** What goes into the headers of weight files, by path. */
  readonly headers?: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Weight files whose headers also get kohya's hashes. */
  readonly kohyaHashed?: ReadonlySet<string>;
}

interface Part {
  readonly file: string;
  initial(folder: ModelFolder, seed: number): Promise<{ specs: ParameterSpecs; weights: InitialWeights }>;
}

/** The networks of a model folder, and how each starts. */
const PARTS: Readonly<Record<string, Part>> = {
  vae: {
    file: 'diffusion_pytorch_model',
    async initial(folder, seed) {
      const specs = vaeParameters(await readVaeConfig(folder));
      return { specs, weights: initialVae(specs, seed) };
    },
  },
  transformer: {
    file: 'diffusion_pytorch_model',
    async initial(folder, seed) {
      const { json, file } = await readJson(folder, 'config.json');
      const specs = transformerParameters(readTransformerConfig(json, file));
      return { specs, weights: initialTransformer(specs, seed) };
    },
  },
  text_encoder: {
    file: 'model',
    async initial(folder, seed) {
      const { json, file } = await readJson(folder, 'config.json');
      const config = readT5Config(json, file);
      const specs = t5Parameters(config);
      return { specs, weights: initialTextEncoder(config, specs, seed) };
    },
  },
};

/**
 * Makes `target` the model of `base`, with random weights for every network that has a config but no weights.
 * @returns the parts that were drawn.
 * @throws InvalidFileError where a part's config is wrong, or the base has none at all.
 */
export async function initializeModel(base: string, target: string, seed: number): Promise<string[]> {
  const folder = await openDirectory(base);
  const drawn: string[] = [];
  const weights = new Map<string, ReadonlyMap<string, TensorToSave>>();
  let networks = 0;
  for (const [name, part] of Object.entries(PARTS)) {
    if (!(await folder.exists(`${name}/config.json`))) continue;
    networks++;
    const own = subfolder(folder, name);
    if (await hasWeights(own, part.file)) continue;
    const initial = await part.initial(own, seed);
    const tensors = [...initial.weights].map(([tensor, data]): [string, TensorToSave] => [
      tensor,
      { dtype: 'F32', shape: initial.specs[tensor].shape, data },
    ]);
    weights.set(`${name}/${part.file}.safetensors`, new Map(tensors));
    drawn.push(name);
  }
  if (networks === 0) {
    throw new InvalidFileError(
      base,
      `expected a model folder with config.json in ${Object.keys(PARTS).join(', ')}; check model.base_model_name_or_path`,
    );
  }
  await writeModel(base, target, { weights, texts: new Map() });
  return drawn;
}

const hasWeights = async (folder: ModelFolder, file: string): Promise<boolean> =>
  (await folder.exists(`${file}.safetensors`)) || (await folder.exists(`${file}.safetensors.index.json`));

/** Makes `target` the model of `base` with some of its files replaced. Weights of a replaced network go. */
export async function writeModel(base: string, target: string, files: ModelFiles): Promise<void> {
  const replaced = new Set([...files.weights.keys()].map((path) => dirname(path)));
  for (const entry of await readdir(base, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const from = join(entry.parentPath, entry.name);
    const path = from.slice(join(base, '/').length).replaceAll('\\', '/');
    const isOldWeight = replaced.has(dirname(path)) && /\.safetensors(\.index\.json)?$/.test(path);
    if (isOldWeight || files.texts.has(path)) continue;
    await linkFile(from, join(target, path));
  }
  await writeFiles(target, files);
}

/** Writes the files, each whole or not at all. */
export async function writeFiles(
  target: string,
  { weights, texts, headers, kohyaHashed }: ModelFiles,
): Promise<void> {
  for (const [path, tensors] of weights) {
    const header = kohyaHashed?.has(path)
      ? { ...headers?.get(path), ...(await kohyaHashes(tensors)) }
      : headers?.get(path);
    await saveSafetensors(join(target, path), tensors, header);
  }
  for (const [path, text] of texts) await writeFileAtomic(join(target, path), [Buffer.from(text)]);
}

/** Gives files of one folder a place in another as well. */
export async function linkFiles(from: string, to: string, { weights, texts }: ModelFiles): Promise<void> {
  for (const path of [...weights.keys(), ...texts.keys()]) await linkFile(join(from, path), join(to, path));
}

/** Files here are never written in place, so two names of one file are as good as two files. */
async function linkFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await rm(to, { force: true });
  await link(from, to).catch(() => writeFileAtomic(to, createReadStream(from)));
}

/** @throws InvalidArgumentError where `to` is one of the folders that are read: its files would go first. */
export async function checkApart(
  setting: 'to' | 'out',
  to: string,
  ...read: readonly string[]
): Promise<void> {
  const real = (path: string) => realpath(path).catch(() => resolve(path));
  const target = await real(to);
  for (const from of read)
    if ((await real(from)) === target)
      throw new InvalidArgumentError(setting, `${to} is read, too; expected another folder to write`);
}

/** @throws InvalidFileError for eight-bit floats, which may mean nothing without scales. */
export function requirePlain(file: string, name: string, dtype: string): void {
  if (!dtype.startsWith('F8_')) return;
  const fix = 'expected the model from before, in F32, F16 or BF16';
  throw new InvalidFileError(file, `${name} is quantized (${dtype}); ${fix}`, { field: name });
}
