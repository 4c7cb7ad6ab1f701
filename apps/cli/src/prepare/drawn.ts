/**
 * A clip of HOT3D-Clips as a sample that is drawn whole, from the models of its objects: the objects where they were at
 * first, the hands, and both as they were. Its pictures are of fisheyes, and none shows the scene alone.
 */
import { join } from 'node:path';
import { InvalidArgumentError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { placement, rotations, SIDES, type Trajectory, type TrajectoryFrame } from '@dwm/renderer';
import { decodeImage, readGltfFile } from '@dwm/renderer/node';
import { type Hot3dObject, readHot3dObjects } from '@dwm/renderer/recordings';
import { combineScenes, matrices, type Scene, type SceneNode, STUDIO } from '@dwm/renderer/scene';
import { type ClipPasses, type DrawnClip, forearmsFor, PassRenderer } from '@dwm/synth';
import { readBytes } from '../render/files.ts';
import { importTrajectory } from '../render/import.ts';
import type { Reporter } from '../report.ts';
import type { Flags } from './flags.ts';
import { pickFrames } from './picked-frames.ts';

interface Drawn extends ClipPasses {
  readonly trajectory: Trajectory;
  /** Frames of the recording that the sample is made of. */
  readonly picked: readonly number[];
}

/**
 * The clip that `--objects` is for.
 * @throws InvalidArgumentError for other sources.
 */
export function drawnFile(video: string | undefined, { from, hands, static: scene, handGlb }: Flags): string {
  const other = Object.entries({ video, hands, static: scene, 'hand-glb': handGlb }).find(
    ([, given]) => given !== undefined,
  );
  if (other)
    throw new InvalidArgumentError(other[0], `is one too many: with --objects all three videos are drawn`);
  if (from?.length !== 1)
    throw new InvalidArgumentError('objects', 'goes with one clip of HOT3D-Clips: --from clip-NNNNNN.tar');
  return from[0];
}

/** @throws InvalidFileError, and InvalidArgumentError where the clip is of another data set, or MANO is missing. */
export async function drawClip(
  file: string,
  flags: Flags & { readonly objects: string },
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Drawn> {
  const { mano, fps, width, height, focal, objects: folder } = flags;
  const options = { format: 'auto' as const, mano, fps, width, height, focal };
  const { trajectory: recorded, format } = await importTrajectory([file], options, reporter);
  if (format !== 'hot3d-clips')
    throw new InvalidArgumentError('objects', `goes with a clip of HOT3D-Clips, and ${file} is ${format}`);
  const { up, objects } = readHot3dObjects({ name: file, bytes: await readBytes(file) });
  const seconds = recorded.frames.map((frame) => frame.seconds);
  const picked = pickFrames(file, seconds, 1 / recorded.fps, flags, reporter);
  const frames = picked.map((index, i): TrajectoryFrame => {
    const frame = recorded.frames[index];
    return { ...(up === 'z' ? turnedUp(frame) : frame), seconds: i / fps };
  });
  const { scene, nodes } = await sceneOf(objects, folder, reporter);
  const moving = objects.map(({ id, worlds }, i) => {
    const last = (index: number) => worlds.slice(0, index + 1).findLast((world) => world !== null);
    const first = worlds.find((world) => world !== null)!;
    // Where the clip does not say, a thing is where it was.
    const matrices = picked.map((index) => last(index) ?? first);
    return { node: nodes[i], name: modelName(id), worlds: up === 'z' ? matrices.map(turned) : matrices };
  });
  signal.throwIfAborted();
  reporter.progress('drawing the objects and the hands …');
  const passes = await draw({ scene, moving, trajectory: { fps, frames } });
  return { ...passes, trajectory: { fps, frames }, picked };
}

const modelName = (id: number) => `obj_${String(id).padStart(6, '0')}.glb`;

/** Everything that is moved as one scene, and the node that carries each. */
async function sceneOf(objects: readonly Hot3dObject[], folder: string, reporter: Reporter) {
  const read = new Map<number, Scene>();
  const scenes: { scene: Scene; name: string }[] = [];
  const nodes: number[] = [];
  let next = 0;
  for (const { id } of objects) {
    const path = join(folder, modelName(id));
    const scene = read.get(id) ?? (await readGltfFile(path, { warn: (line) => reporter.warn(line) }));
    read.set(id, scene);
    scenes.push({ scene, name: modelName(id) });
    nodes.push(next);
    next += 1 + scene.nodes.length;
  }
  return { scene: combineScenes('objects', scenes), nodes };
}

async function draw(clip: Pick<DrawnClip, 'scene' | 'moving' | 'trajectory'>): Promise<ClipPasses> {
  const { scene, moving, trajectory } = clip;
  const { position, rotation } = placement(trajectory.frames[0].camera);
  const focus = rotations.add(position, rotations.rotate(rotation, [0, 0, -0.5]));
  // One node may carry parts of its own: what is seen first is the scene's place.
  const still = { ...scene, nodes: scene.nodes.map((node, i) => placedNode(node, i, moving)) };
  const device = await openNodeDevice();
  const renderer = new PassRenderer(device, decodeImage);
  try {
    return await renderer.render({
      seed: 0,
      scene: still,
      lights: STUDIO,
      moving,
      trajectory,
      acting: trajectory,
      forearms: forearmsFor({ seed: 0, eye: position, focus }, trajectory),
    });
  } finally {
    renderer.destroy();
    device.destroy();
  }
}

/** In a moving node's place of the first frame: by it the shadows' bounds go. */
function placedNode(node: SceneNode, index: number, moving: DrawnClip['moving']): SceneNode {
  const part = moving.find((one) => one.node === index);
  return part ? { ...node, matrix: part.worlds[0] } : node;
}

/** From z up to y up. */
const TURN = rotations.fromAxisAngle([-Math.PI / 2, 0, 0]);
const TURN_MATRIX = matrices.compose([0, 0, 0], TURN);

const turned = (world: Float64Array): Float64Array => matrices.multiply(TURN_MATRIX, world);

function turnedUp(frame: TrajectoryFrame): TrajectoryFrame {
  const [left, right] = SIDES.map((side) => {
    const joints = frame.hands[side]?.joints;
    return joints ? { joints: turnedJoints(joints) } : null;
  });
  const camera = { ...frame.camera, matrix: turned(frame.camera.matrix) };
  return { ...frame, camera, hands: { left, right } };
}

function turnedJoints(joints: Float64Array): Float64Array {
  const out = new Float64Array(joints.length);
  for (let at = 0; at < joints.length; at += 7) {
    const [x, y, z, w] = joints.subarray(at + 3, at + 7);
    out.set(rotations.rotate(TURN, rotations.vec3At(joints, at)), at);
    out.set(rotations.compose(TURN, [x, y, z, w]), at + 3);
  }
  return out;
}
