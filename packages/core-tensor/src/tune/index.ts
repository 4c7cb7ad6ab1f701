/**
 * Which kernels a device gets: the variants that are right on it (self-tests), those that are fastest (tuning), on demand
 * or before a program's first use; and how fast the device itself is.
 */
export { type Choice, Decisions } from '@dwm/kernels-wgsl';
export * from '../device/probe.ts';
export { beforeUse } from './before-use.ts';
export * from './first-use.ts';
export * from './self-test.ts';
export * from './tune.ts';
