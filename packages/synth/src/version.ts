/**
 * Version of the generator: what a seed becomes. Raise it with every change after which a seed gives other bytes: rooms,
 * things, motions, physics, captions, cameras, looks, rejections. A folder of clips holds one version only.
 * 1: until deserted clips came. 2: in half of the clips in which nothing is touched nobody comes. 3: every seed has a
 * room of its own (before, of seeds from 2^16 on, every fourth had that of another), and what is inside furniture
 * follows from its outside. 4: acts of an episode are not all as long, and the first may be any.
 */
export const GENERATOR_VERSION = 4;
