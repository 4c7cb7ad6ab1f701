/** Scenes, hands and trajectories from paths. Which kind a file is, its first bytes say and not its name. */
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { openPath } from '@dwm/core-tensor/node';
import {
  type HandModels,
  loadMano,
  type ManoModel,
  placeScene,
  readTransforms,
  type SceneParts,
  type Trajectory,
} from '@dwm/renderer';
import { readDefaultHand, readGltfFile, readSplatFile } from '@dwm/renderer/node';
import { RECORDING_FORMATS, recordingKind } from '@dwm/renderer/recordings';
import { combineScenes } from '@dwm/renderer/scene';
import type { SplatCloud } from '@dwm/renderer/splats';
import type { Reporter } from '../report.ts';
import { checkHandFlags, type HandFlags, type SceneFlags, type TrajectoryFlags } from './options.ts';

/** Everything fits in memory several times over; a larger file is not a trajectory. */
const MAX_TRAJECTORY_BYTES = 2 ** 29;

/** @throws InvalidFileError for what is missing, too large or a folder. */
export async function readBytes(path: string): Promise<Uint8Array> {
  const source = await openPath(path);
  try {
    if (source.size > MAX_TRAJECTORY_BYTES) {
      throw new InvalidFileError(
        path,
        `has ${source.size} bytes, expected at most ${MAX_TRAJECTORY_BYTES}; cut the recording into pieces`,
      );
    }
  } finally {
    await source.close?.();
  }
  return readFile(path);
}

/**
 * Any number of glTF files as one scene, and at most one file of splats, put upright and to metres as the flags say.
 * @throws InvalidFileError, InvalidArgumentError for a second cloud.
 */
export async function readScene(
  paths: readonly string[],
  { sceneUp, sceneScale }: SceneFlags,
  reporter: Reporter,
): Promise<SceneParts> {
  const meshes = [];
  let splats: SplatCloud | undefined;
  for (const path of paths) {
    if (await isGltf(path)) {
      meshes.push({
        scene: await readGltfFile(path, { warn: (line) => reporter.warn(line) }),
        name: basename(path),
      });
      continue;
    }
    if (splats)
      throw new InvalidArgumentError('scene', `${path} is a second splat file, expected one at most`);
    splats = await readSplatFile(path, { warn: (line) => reporter.warn(line) });
  }
  const [first] = meshes;
  const parts = { meshes: meshes.length > 1 ? combineScenes('scene', meshes) : first?.scene, splats };
  return placeScene(parts, { up: sceneUp, scale: sceneScale });
}

/** glTF's JSON is told from the `meta.json` of a SOG, which may be a folder, by what it holds. */
async function isGltf(path: string): Promise<boolean> {
  if ((await stat(path).catch(() => undefined))?.isDirectory()) return false;
  const source = await openPath(path);
  try {
    const head = new TextDecoder('latin1').decode(await source.read(0, Math.min(source.size, 1 << 16)));
    if (/^(ï»¿)?\s*\{/.test(head)) return !/"means"\s*:\s*\{|"lodLevels"\s*:/.test(head);
    return head.startsWith('glTF') || /\.(glb|gltf)$/i.test(path);
  } finally {
    await source.close?.();
  }
}

export async function readMano(path: string): Promise<ManoModel> {
  return loadMano({ name: path, bytes: await readBytes(path) });
}

/** What the hands are drawn with: the default hands unless the flags say otherwise. */
export async function readHands(flags: HandFlags, reporter: Reporter): Promise<HandModels> {
  checkHandFlags(flags);
  const [left, right] = flags.handGlb
    ? await Promise.all(
        flags.handGlb.map((path) => readGltfFile(path, { warn: (line) => reporter.warn(line) })),
      )
    : [await readDefaultHand('left'), await readDefaultHand('right')];
  return { rigs: { left, right }, mano: flags.mano ? await readMano(flags.mano) : undefined };
}

/** @throws InvalidFileError, with the way to import it for a recording of another format. */
export async function readTrajectory(
  path: string,
  flags: TrajectoryFlags,
  reporter: Reporter,
): Promise<Trajectory> {
  const bytes = await readBytes(path);
  const kind = recordingKind(path, bytes);
  if (kind && kind !== 'transforms') {
    const [format] = Object.entries(RECORDING_FORMATS).find(([, kinds]) => kinds.includes(kind))!;
    throw new InvalidFileError(
      path,
      `is ${format}, not a trajectory; run dwm trajectory import ${path} --out T.json`,
    );
  }
  const file = { name: path, text: new TextDecoder().decode(bytes) };
  return readTransforms(file, { ...flags, warn: (line) => reporter.warn(line) });
}
