/**
 * The room on the device, with a pair of hands that can be put anywhere in it or taken out. The same model is drawn
 * for the visitor, hands in it, and for the model's static video, hands out of it.
 */
import { type Device, DwmError } from '@dwm/core-tensor';
import type { Frames } from '@dwm/media';
import {
  enlargedIntrinsics,
  type HandPose,
  type Hands,
  MeshRenderer,
  type RenderTarget,
  SceneModel,
  SIDES,
  type Trajectory,
  type TrajectoryFrame,
  type View,
} from '@dwm/renderer';
import {
  type Bounds,
  combineScenes,
  type LightRig,
  matrices,
  type ScenePose,
  worldBounds,
} from '@dwm/renderer/scene';
import { readSplatImage, SplatRenderer, SplatScene } from '@dwm/renderer/splats';
import {
  captionOf,
  clipOf,
  FIXED_CAMERA,
  fault,
  forearmsFor,
  handScene,
  makeMotion,
  makeWorld,
  PassRenderer,
  Random,
  runHands,
  type World,
} from '@dwm/synth';
import { GALLERY } from '../gallery/rooms.ts';
import { ROOM_TRIES } from '../state/limits.ts';
import { decodeImage } from './decode-image.ts';
import type { RoomInfo, RoomRef, Settings } from './protocol.ts';
import type { RoomParts } from './room-parts.ts';
import { messagesIn } from './serve.ts';

const JOINTS = 25;
/** All vertices in one point: nothing is drawn. */
const GONE = Float64Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

const standsStill = (seed: number) => Random.fork(seed, 'clip').chance(FIXED_CAMERA);

/** Metres towards the eye, tried one after the other. */
const HELD_BACK = [0.12, 0.2, 0.3];

function heldBack(frame: TrajectoryFrame, metres: number): TrajectoryFrame {
  const { matrix } = frame.camera;
  const moved = (hand: HandPose | null): HandPose | null => {
    if (!hand?.joints) return hand;
    const joints = hand.joints.slice();
    for (let at = 0; at < joints.length; at += 7)
      for (let axis = 0; axis < 3; axis++) joints[at + axis] += metres * matrix[4 * axis + 2];
    return { ...hand, joints };
  };
  return { ...frame, hands: { left: moved(frame.hands.left), right: moved(frame.hands.right) } };
}

/** A simulated clip's room, with its motion. */
async function simulated(
  { seed, exact }: Extract<RoomRef, { kind: 'synthetic' }>,
  { width, height, frames, fps }: Settings,
  signal: AbortSignal,
): Promise<RoomParts> {
  for (let tried = seed; tried < seed + ROOM_TRIES; tried++) {
    await messagesIn();
    signal.throwIfAborted();
    // What lies about in these was brought to rest before, so the physics is not needed.
    const known = GALLERY.find(({ seed: number }) => number === tried);
    const world = await makeWorld(tried, undefined, undefined, known?.rest);
    const motion = makeMotion(world, { width, height, frames, fps, fixedCamera: standsStill(tried) });
    // Seeds whose motion does not work out are passed over.
    if (!exact && !known && fault(world, motion, await runHands(world, motion.acting))) continue;
    const { acting: trajectory, caption, actingFrames } = motion;
    const info = {
      name: known?.name ?? `Room ${tried}`,
      seed: tried,
      trajectory,
      caption,
      ...(actingFrames.length > 1 && { acts: { from: actingFrames[0], to: actingFrames.at(-1)! } }),
    };
    return { info, world, meshes: world.scene, lights: world.lights };
  }
  throw new DwmError(
    'no-room',
    `none of the rooms ${seed} to ${seed + ROOM_TRIES - 1} works out; choose another number`,
  );
}

export class Room {
  readonly info: RoomInfo;
  readonly #device: Device;
  readonly #world: World | undefined;
  readonly #model: SceneModel;
  readonly #meshes: MeshRenderer;
  readonly #lights: LightRig | undefined;
  readonly #bounds: Bounds | undefined;
  readonly #splats: { readonly scene: SplatScene; readonly renderer: SplatRenderer } | undefined;
  /** The first joint of each hand among the model's nodes. */
  readonly #firstJoint: Readonly<Record<'left' | 'right', number>>;

  private constructor(
    device: Device,
    { info, world, lights, meshes }: RoomParts,
    model: SceneModel,
    firstJoint: Readonly<Record<'left' | 'right', number>>,
    splats: SplatScene | undefined,
  ) {
    this.info = info;
    this.#world = world;
    this.#device = device;
    this.#model = model;
    this.#meshes = new MeshRenderer(device);
    this.#lights = lights;
    this.#bounds = meshes && worldBounds(meshes);
    this.#firstJoint = firstJoint;
    this.#splats = splats && { scene: splats, renderer: new SplatRenderer(device) };
  }

  /** @throws InvalidFileError for a file that is no scene; OutOfMemoryError; the signal's reason. */
  static async open(device: Device, ref: RoomRef, settings: Settings, signal: AbortSignal): Promise<Room> {
    const parts =
      ref.kind === 'files'
        ? await (await import('./read-room.ts')).readRoom(ref.files)
        : await simulated(ref, settings, signal);
    await messagesIn();
    signal.throwIfAborted();
    const scenes = [
      ...(parts.meshes ? [{ scene: parts.meshes, name: 'room' }] : []),
      ...SIDES.map((side) => ({ scene: handScene(side), name: `${side} hand` })),
    ];
    const firstJoint = { left: 0, right: 0 };
    let next = parts.meshes ? parts.meshes.nodes.length + 1 : 0;
    for (const side of SIDES) {
      firstJoint[side] = next + 1;
      next += handScene(side).nodes.length + 1;
    }
    const model = await SceneModel.load(device, combineScenes(parts.info.name, scenes), { decodeImage });
    try {
      await messagesIn();
      signal.throwIfAborted();
      const splats = parts.splats && new SplatScene(device, parts.splats);
      return new Room(device, parts, model, firstJoint, splats);
    } catch (error) {
      model.destroy();
      throw error;
    }
  }

  /** What the hands of a motion do here, in words; undefined where nobody can simulate it. */
  async describe(trajectory: Trajectory): Promise<string | undefined> {
    if (!this.#world) return undefined;
    return captionOf(this.#world, trajectory, await runHands(this.#world, trajectory));
  }

  /**
   * The simulator along the same hands, in a picture `larger` times the model's.
   * @throws DwmError in rooms that nobody can simulate.
   */
  async truth(trajectory: Trajectory, larger: number): Promise<Frames> {
    const world = this.#simulated();
    const run = await runHands(world, trajectory);
    const acting = {
      ...trajectory,
      frames: trajectory.frames.map((frame) => ({
        ...frame,
        intrinsics: enlargedIntrinsics(frame.intrinsics, larger),
      })),
    };
    const motion = { action: world.action, caption: '', acting, forearms: forearmsFor(world, acting) };
    const renderer = new PassRenderer(this.#device);
    try {
      const { interaction } = await renderer.render(clipOf(world, motion, run, standsStill(world.seed)));
      // A copy: the other passes are in the same memory.
      return { ...interaction, data: interaction.data.slice() };
    } finally {
      renderer.destroy();
    }
  }

  /** The same hands, held back towards the eye until they touch nothing. @throws DwmError where there is no such way. */
  async apart(trajectory: Trajectory): Promise<Trajectory> {
    const world = this.#simulated();
    for (const metres of HELD_BACK) {
      const moved = { ...trajectory, frames: trajectory.frames.map((frame) => heldBack(frame, metres)) };
      const { contacts } = await runHands(world, moved);
      if (contacts.length === 0) return moved;
    }
    throw new DwmError('no-way', 'this motion touches something wherever it is made; move the hand less far');
  }

  #simulated(): World {
    if (!this.#world)
      throw new DwmError('no-simulator', 'only the made-up rooms can be simulated; choose one of them');
    return this.#world;
  }

  get hasSplats(): boolean {
    return this.#splats !== undefined;
  }

  /** Draws the room with hands into the target's colour, or, where there are splats, gives its bytes. */
  async draw(view: View, target: RenderTarget, hands: Hands | undefined): Promise<Uint8Array | undefined> {
    this.#model.pose(this.#pose(hands));
    this.#meshes.draw(this.#model, view, target, {
      ...(this.#lights && { lights: this.#lights }),
      ...(this.#bounds && { shadowBounds: this.#bounds }),
    });
    if (!this.#splats) return undefined;
    const { scene, renderer } = this.#splats;
    const image = await renderer.render(scene, view, { over: target });
    try {
      const { rgb } = await readSplatImage(this.#device, image);
      return Uint8Array.from(rgb, (value) => Math.round(255 * value));
    } finally {
      image.destroy();
    }
  }

  destroy(): void {
    this.#model.destroy();
    this.#meshes.destroy();
    this.#splats?.scene.destroy();
    this.#splats?.renderer.destroy();
  }

  #pose(hands: Hands | undefined): ScenePose {
    const pose = new Map<number, { readonly matrix: Float64Array }>();
    for (const side of SIDES) {
      const joints = hands?.[side]?.joints;
      for (let joint = 0; joint < JOINTS; joint++) {
        const number = (i: number) => joints![7 * joint + i];
        const matrix = joints ? matrices.compose([0, 1, 2].map(number), [3, 4, 5, 6].map(number)) : GONE;
        pose.set(this.#firstJoint[side] + joint, { matrix });
      }
    }
    return pose;
  }
}
