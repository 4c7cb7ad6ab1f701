/**
 * Checkpoints of a run: folders `checkpoint-<step>` that are there whole or not at all. One is written beside,
 * as `checkpoint-<step>.tmp`, every file flushed, then renamed; one that goes is renamed away before anything
 * in it is deleted. A run killed at any moment thus finds its last whole checkpoint.
 */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { elementCount, type HostData, InvalidFileError, type TensorSpec } from '@dwm/core-tensor';
import { quote, type SafetensorsTensor } from '@dwm/core-tensor/files';
import {
  reach,
  readJsonFile,
  readSafetensors,
  saveSafetensors,
  type TensorToSave,
  writeFileAtomic,
  writeProblem,
} from '@dwm/core-tensor/node';
import * as z from 'zod';
import type { LossPoint } from '../../training/loss-plot.ts';
import type { LossScaleState } from '../../training/loss-scale.ts';
import type { TrainStepState } from '../../training/train-step.ts';
import { checkJson } from '../../weights/config.ts';
import { type ModelFiles, writeFiles } from './model-folder.ts';

/** Everything but tensors. */
export interface TrainingState {
  /** Optimizer steps done. */
  readonly step: number;
  /** Samples seen: where the data and all random draws go on. */
  readonly position: number;
  readonly seed: number;
  /** Mean loss since the checkpoint before. */
  readonly meanLoss: number;
  /** Logged losses so far. */
  readonly points: readonly LossPoint[];
  /** Names and shapes of the packed tensor. */
  readonly layout: Readonly<Record<string, readonly number[]>>;
  /** Where the loss is scaled. */
  readonly lossScale?: LossScaleState;
  /** The experiment as it was read. */
  readonly config: unknown;
}

/** The packed weights and what the optimizer remembers, by name. */
type PackedState = TrainStepState['tensors'];

/** A checkpoint in a run's folder. */
export interface SavedCheckpoint {
  readonly path: string;
  readonly step: number;
  readonly meanLoss: number;
}

const STATE = 'state.json';
const OPTIMIZER = 'optimizer.safetensors';
const VERSION = 1;

const count = z.int().nonnegative();
/** JSON has null for what is not a number. */
const loss = z.number().or(z.null().transform(() => Number.NaN));
/** What `TrainingState` says, as it stands in a file. */
const StateFile = z.looseObject({
  step: count,
  position: count,
  seed: z.int(),
  meanLoss: loss,
  points: z.array(z.object({ step: count, loss })),
  layout: z.record(z.string(), z.array(count)),
  lossScale: z.object({ scale: z.number(), good: count, skipped: count }).optional(),
  config: z.unknown(),
  files: z.record(z.string(), count),
});

export const checkpointName = (step: number): string => `checkpoint-${step}`;

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  await handle.sync().finally(() => handle.close());
}

/**
 * Writes a checkpoint and, where there is a limit, deletes those that are neither among the last `keep` nor the best.
 * @param files what others read from it.
 */
export async function saveCheckpoint(
  folder: string,
  state: TrainingState,
  packed: PackedState,
  files: ModelFiles,
  keep: number | null,
): Promise<string> {
  const path = join(folder, checkpointName(state.step));
  const temporary = `${path}.tmp`;
  try {
    await mkdir(folder, { recursive: true });
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary);
    await writeCheckpoint(temporary, state, packed, files);
    await remove(path);
    await rename(temporary, path);
    await syncFolder(folder);
    await prune(folder, keep ?? Number.POSITIVE_INFINITY);
  } catch (error) {
    // On a full disk it is in the way of what comes next.
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw writeProblem(error, path);
  }
  return path;
}

async function writeCheckpoint(
  temporary: string,
  state: TrainingState,
  packed: PackedState,
  modelFiles: ModelFiles,
): Promise<void> {
  const { weights, texts } = modelFiles;
  await writeFiles(temporary, modelFiles);
  const tensors = Object.entries(packed).map(([name, data]): [string, TensorToSave] => [
    name,
    { dtype: data instanceof Float32Array ? 'F32' : 'U32', shape: [data.length], data },
  ]);
  await saveSafetensors(join(temporary, OPTIMIZER), new Map(tensors));
  const sizes: Record<string, number> = {};
  for (const file of [...weights.keys(), ...texts.keys(), OPTIMIZER]) {
    sizes[file] = (await stat(join(temporary, file))).size;
  }
  const json = JSON.stringify({ version: VERSION, ...state, files: sizes }, undefined, 1);
  await writeFileAtomic(join(temporary, STATE), [Buffer.from(`${json}\n`)]);
  await syncFolder(temporary);
}

/** Away under another name first, so that what is half deleted is never taken for a checkpoint. */
async function remove(path: string): Promise<void> {
  const away = `${path}.old`;
  await rm(away, { recursive: true, force: true });
  const moved = await rename(path, away).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  if (moved) await rm(away, { recursive: true, force: true });
}

/** Removes what a run that was killed left half written, or half deleted. */
export async function sweepCheckpoints(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (/^checkpoint-\d+\.(tmp|old)$/.test(name))
      await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function prune(folder: string, keep: number): Promise<void> {
  await sweepCheckpoints(folder);
  const found = await listCheckpoints(folder);
  const best = found.reduce<SavedCheckpoint | undefined>(
    (a, b) => (a && a.meanLoss <= b.meanLoss ? a : b),
    undefined,
  );
  for (const { path } of found.slice(0, Math.max(0, found.length - keep))) {
    if (path !== best?.path) await remove(path);
  }
}

/** Whole checkpoints of a folder, oldest first. */
export async function listCheckpoints(folder: string): Promise<SavedCheckpoint[]> {
  const found: SavedCheckpoint[] = [];
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    if (!/^checkpoint-\d+$/.test(name)) continue;
    const path = join(folder, name);
    const state = await readState(path).catch(() => undefined);
    if (state) found.push({ path, step: state.step, meanLoss: state.meanLoss });
  }
  return found.sort((a, b) => a.step - b.step);
}

/** @throws InvalidFileError unless the checkpoint is there, and whole. */
export async function readState(path: string): Promise<TrainingState> {
  const file = join(path, STATE);
  const json = await readJsonFile(file, 'state');
  const { version } = json;
  if (version !== VERSION) {
    throw new InvalidFileError(
      file,
      `expected the state of a checkpoint, version ${VERSION}, found version ${quote(version)}`,
    );
  }
  const state = checkJson(StateFile, json, file);
  for (const [name, bytes] of Object.entries(state.files)) {
    const at = await reach(name, { root: path, file, field: 'files' });
    const actual = (await stat(at).catch(() => undefined))?.size;
    if (actual !== bytes) {
      throw new InvalidFileError(join(path, name), `expected ${bytes} bytes, found ${actual ?? 'no file'}`);
    }
  }
  return state;
}

/** The packed tensors of a checkpoint, as `specs` says that they are. */
export async function readPacked(
  path: string,
  specs: Readonly<Record<string, TensorSpec>>,
): Promise<PackedState> {
  const file = join(path, OPTIMIZER);
  const tensors: Map<string, SafetensorsTensor> = await readSafetensors(file);
  const packed: Record<string, HostData> = {};
  for (const [name, { dtype, shape }] of Object.entries(specs)) {
    const tensor = tensors.get(name);
    const [type, length] = [dtype.toUpperCase(), elementCount(shape)];
    if (tensor?.dtype !== type || tensor.shape.join() !== `${length}`) {
      throw new InvalidFileError(
        file,
        `${name}: expected ${type} [${length}], found ${tensor ? `${tensor.dtype} [${tensor.shape}]` : 'none'}; check training.optimizer and ema_decay`,
        { field: name },
      );
    }
    packed[name] = tensor.data as HostData;
  }
  return packed;
}
