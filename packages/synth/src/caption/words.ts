/** The sentences of captions. Models are trained on these words, so a motion of anybody's is described in them too. */
import { type HandSide, SIDES, type Vec3 } from '@dwm/renderer';
import { type Body, isJoint } from '../world/world.ts';

/** What is done: a verb as "they" have it, and the rest. */
export type Deed = readonly [verb: string, rest: string];
type Way = 'left' | 'right';

export const wayTo = (from: Vec3, goal: Vec3): Way => (goal[0] > from[0] ? 'right' : 'left');

/** "The right hand picks up the red cup and puts it down." */
export function say(sides: readonly HandSide[], ...deeds: readonly Deed[]): string {
  const both = sides.length > 1;
  const done = deeds.map(([verb, rest]) => `${both ? verb : third(verb)} ${rest}`.trim());
  return `${both ? 'Both hands' : `The ${sides[0]} hand`} ${done.join(' and ')}.`;
}

const third = (verb: string) => `${verb}${/(sh|ch|ss)$/.test(verb) ? 'es' : 's'}`;

export function movedJoint({ motion, name, words }: Body, opens: boolean): Deed {
  if (isJoint(motion) && motion.kind === 'prismatic')
    return opens ? ['pull', `open ${words}`] : ['push', `${words} shut`];
  if (name === 'lever') return ['flip', `${words} ${opens ? 'up' : 'down'}`];
  return [opens ? 'open' : 'close', words];
}

export const pickedUp = ({ words }: Body): Deed => ['pick', `up ${words}`];
export const lifted = ({ words }: Body): Deed => ['lift', words];
export const putDown = (way?: Way): Deed => ['put', way ? `it down on the ${way}` : 'it down'];
export const poured = ({ words }: Body): Deed => ['pour', `beads from ${words} into the bowl`];
export const tipped = ({ words }: Body): Deed => ['tip', `${words} over`];
export const pushed = ({ words }: Body, way: Way): Deed => ['push', `${words} to the ${way}`];
export const touched = ({ words }: Body): Deed => ['touch', words];
export const held = ({ words }: Body): Deed => ['take', `hold of ${words}`];

const AT_HANDLE: Deed = ['take', 'hold of a handle'];

/** A hand at something that opens, of which nothing is said about what comes of it. */
export const tookHandle = (body: Body): Deed => (/^(drawer|door)/.test(body.name) ? AT_HANDLE : held(body));

/** In words, a hand at a handle of which nobody says what comes of it. */
export const tryingCaption = (side: HandSide): string => say([side], AT_HANDLE);

export const nothingTouched = (sides: readonly HandSide[], waves: boolean): string =>
  say(sides.length > 1 ? SIDES : sides, waves ? ['wave', ''] : ['reach', 'out'], ['touch', 'nothing']);

export const DESERTED = 'Nobody is there, and nothing moves.';
