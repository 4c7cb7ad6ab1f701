/**
 * A world's bodies in Rapier: furniture as one fixed body, parts on prismatic and revolute joints with limits and
 * friction, loose things free. Parts on joints pass through the furniture that carries them; everything else collides.
 */
import type RAPIER from '@dimforge/rapier3d-compat';
import { type Quaternion, rotations, type Vec3 } from '@dwm/renderer';
import { IN_PLACE, type Placement, type Shape } from '../world/solid.ts';
import { type Body, firstPlace, isJoint, type Joint, placeAt, type World } from '../world/world.ts';
import { loadEngine } from './engine.ts';

const { cross, dot, rotate, scale, subtract, compose, inverse } = rotations;

type Engine = typeof RAPIER;

const [FIXED, PART, LOOSE, HAND] = [1, 2, 4, 8];
const groups = (membership: number, filter: number) => (membership << 16) | filter;
export const HAND_GROUPS = groups(HAND, PART | LOOSE);
const PART_GROUPS = groups(PART, LOOSE | HAND);
const LOOSE_GROUPS = groups(LOOSE, FIXED | PART | LOOSE | HAND);

/** Steps a second; a video frame is a whole number of them. */
const STEP_RATE = 120;

const vector = ([x, y, z]: Vec3) => ({ x, y, z });
const turn = ([x, y, z, w]: Quaternion) => ({ x, y, z, w });

export interface MovableBody {
  readonly body: Body;
  readonly rigid: RAPIER.RigidBody;
}

export class Bodies {
  readonly engine: Engine;
  readonly physics: RAPIER.World;
  readonly movable: readonly MovableBody[];

  private constructor(engine: Engine, world: Pick<World, 'bodies'>) {
    this.engine = engine;
    this.physics = new engine.World({ x: 0, y: -9.81, z: 0 });
    this.physics.timestep = 1 / STEP_RATE;
    const base = this.physics.createRigidBody(engine.RigidBodyDesc.fixed());
    this.movable = world.bodies.flatMap((body) => {
      if (body.motion !== 'fixed') return [{ body, rigid: this.#add(body, base) }];
      this.#collide(body, base, body.place, groups(FIXED, LOOSE));
      return [];
    });
  }

  /** Free it with `destroy`. */
  static async create(world: Pick<World, 'bodies'>): Promise<Bodies> {
    return new Bodies(await loadEngine(), world);
  }

  /** Physics steps in a video frame. @throws where `fps` is not between 1 and the step rate. */
  stepsPerFrame(fps: number): number {
    const steps = Math.max(1, Math.round(STEP_RATE / fps));
    this.physics.timestep = 1 / (fps * steps);
    return steps;
  }

  step(): void {
    this.physics.step();
    for (const movable of this.movable) this.#stop(movable);
  }

  /** Limits are springs to Rapier, and a hand that pushes is infinitely heavy: here they are walls. */
  #stop(movable: MovableBody): void {
    const { body, rigid } = movable;
    if (!isJoint(body.motion)) return;
    const raw = this.#rawOpening(movable, body.motion);
    const opening = Math.min(body.motion.limits[1], Math.max(body.motion.limits[0], raw));
    if (Math.abs(raw - opening) < 1e-4) return;
    const { position, rotation } = placeAt(body, opening);
    rigid.setTranslation(vector(position), true);
    rigid.setRotation(turn(rotation), true);
    rigid.setLinvel(vector([0, 0, 0]), true);
    rigid.setAngvel(vector([0, 0, 0]), true);
  }

  /** Where a body is; one on a joint is kept to it exactly. */
  placement({ rigid }: MovableBody): Placement {
    const [t, r] = [rigid.translation(), rigid.rotation()];
    return { position: [t.x, t.y, t.z], rotation: [r.x, r.y, r.z, r.w] };
  }

  /** Metres or radians, within the joint's limits; undefined for loose bodies. */
  opening(movable: MovableBody): number | undefined {
    const { motion } = movable.body;
    if (!isJoint(motion)) return undefined;
    return Math.min(motion.limits[1], Math.max(motion.limits[0], this.#rawOpening(movable, motion)));
  }

  #rawOpening(movable: MovableBody, motion: Joint): number {
    const { place } = movable.body;
    const now = this.placement(movable);
    return motion.kind === 'prismatic'
      ? dot(motion.axis, subtract(now.position, place.position))
      : angleAbout(motion.axis, compose(now.rotation, inverse(place.rotation)));
  }

  /** Moves a loose body so that it is at `target` after the next step, as far as what is in its way lets it. */
  drive({ body, rigid }: MovableBody, target: Placement): void {
    const rate = 1 / this.physics.timestep;
    const now = this.placement({ body, rigid });
    const twist = rotations.toAxisAngle(compose(target.rotation, inverse(now.rotation)));
    const spin = limited(scale(twist, rate), 20);
    // Velocity belongs to the centre of mass.
    const centre = rigid.localCom();
    const arm = rotate(now.rotation, [centre.x, centre.y, centre.z]);
    const shift = limited(scale(subtract(target.position, now.position), rate), 4);
    rigid.setLinvel(vector(rotations.add(shift, cross(spin, arm))), true);
    rigid.setAngvel(vector(spin), true);
  }

  /** Moves a body on a joint towards an opening, metres or radians. @returns false for one beyond its limits. */
  driveTo(movable: MovableBody, opening: number): boolean {
    const { body, rigid } = movable;
    const { motion } = body;
    if (!isJoint(motion)) return false;
    const [low, high] = motion.limits;
    const way = Math.min(high, Math.max(low, opening)) - this.#rawOpening(movable, motion);
    const speed = Math.min(12, Math.max(-12, way / this.physics.timestep));
    const along = scale(motion.axis, speed);
    const centre = rigid.worldCom();
    const arm = subtract([centre.x, centre.y, centre.z], motion.anchor);
    const turns = motion.kind === 'revolute';
    rigid.setLinvel(vector(turns ? cross(along, arm) : along), true);
    rigid.setAngvel(vector(turns ? along : [0, 0, 0]), true);
    return opening >= low && opening <= high;
  }

  /** Whether hands push this body; one that is held they do not. */
  collideWithHands({ body, rigid }: MovableBody, on: boolean): void {
    const own = isJoint(body.motion) ? PART_GROUPS : LOOSE_GROUPS;
    for (let i = 0; i < rigid.numColliders(); i++)
      rigid.collider(i).setCollisionGroups(on ? own : own & ~HAND);
  }

  /** Loose things weigh nothing while they are held. */
  weigh({ body, rigid }: MovableBody, on: boolean): void {
    if (body.motion === 'loose') rigid.setGravityScale(on ? 1 : 0, true);
  }

  destroy(): void {
    this.physics.free();
  }

  #add(body: Body, base: RAPIER.RigidBody): RAPIER.RigidBody {
    const { engine, physics } = this;
    const { position, rotation } = firstPlace(body);
    const desc = engine.RigidBodyDesc.dynamic()
      .setTranslation(...position)
      .setRotation(turn(rotation))
      .setCanSleep(false);
    const { motion } = body;
    if (motion === 'loose') desc.setLinearDamping(0.3).setAngularDamping(0.8);
    else desc.setGravityScale(0);
    const rigid = physics.createRigidBody(desc);
    this.#collide(body, rigid, IN_PLACE, isJoint(motion) ? PART_GROUPS : LOOSE_GROUPS);
    if (isJoint(motion)) this.#hinge(body, base, rigid);
    return rigid;
  }

  #hinge({ motion, place }: Body, base: RAPIER.RigidBody, rigid: RAPIER.RigidBody): void {
    if (!isJoint(motion)) return;
    const { engine, physics } = this;
    const back = inverse(place.rotation);
    const local = rotate(back, subtract(motion.anchor, place.position));
    // The axis in both frames: the body's own frame is the world's, turned by its rotation at opening 0.
    const data =
      motion.kind === 'prismatic'
        ? engine.JointData.prismatic(vector(motion.anchor), vector(local), vector(motion.axis))
        : engine.JointData.revolute(vector(motion.anchor), vector(local), vector(motion.axis));
    data.limitsEnabled = true;
    data.limits = [...motion.limits];
    const joint = physics.createImpulseJoint(data, base, rigid, true) as RAPIER.UnitImpulseJoint;
    joint.configureMotorModel(engine.MotorModel.AccelerationBased);
    joint.configureMotorVelocity(0, motion.damping);
    joint.setContactsEnabled(false);
  }

  #collide(body: Body, rigid: RAPIER.RigidBody, frame: Placement, group: number): void {
    for (const { shape, position, rotation } of body.solids) {
      const desc = this.#shape(shape)
        .setTranslation(...rotations.add(frame.position, rotate(frame.rotation, position)))
        .setRotation(turn(compose(frame.rotation, rotation)))
        .setDensity(body.density)
        .setFriction(body.friction)
        .setRestitution(0.05)
        .setCollisionGroups(group);
      this.physics.createCollider(desc, rigid);
    }
  }

  #shape(shape: Shape): RAPIER.ColliderDesc {
    const { ColliderDesc } = this.engine;
    if (shape.kind === 'ball') return ColliderDesc.ball(shape.radius);
    if (shape.kind === 'cylinder') return ColliderDesc.cylinder(shape.halfHeight, shape.radius);
    return ColliderDesc.cuboid(...shape.half);
  }
}

function angleAbout(axis: Vec3, [x, y, z, w]: Quaternion): number {
  const angle = 2 * Math.atan2(dot(axis, [x, y, z]), w);
  return angle > Math.PI ? angle - 2 * Math.PI : angle < -Math.PI ? angle + 2 * Math.PI : angle;
}

function limited(v: Vec3, most: number): Vec3 {
  const length = rotations.length(v);
  return length > most ? scale(v, most / length) : v;
}
