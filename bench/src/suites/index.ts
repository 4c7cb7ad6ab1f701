/** The registry: a suite that is listed here can be run. */
import { kernels } from './kernels.ts';
import { model } from './model.ts';
import { peers } from './peers.ts';
import { render } from './render.ts';
import type { Suite } from './suite.ts';
import { train } from './train.ts';

export const SUITES: readonly Suite[] = [kernels, model, peers, render, train];
export type { Machine, Suite } from './suite.ts';
