/** Plain shapes that anyone would pick, ours against every peer, on the CPU too. */
import { kernelCase } from '../case.ts';
import { CPU_PEERS, WEBGPU_PEERS } from '../peers/index.ts';
import type { Workload } from '../workloads/index.ts';
import { attention, chain, conv, cube, groupNorm, layerNorm, softmax } from './kernels.ts';
import type { Machine, Suite } from './suite.ts';

function workloads({ kind, quick }: Machine): Workload[] {
  const rows = kind === 'software' ? 2048 : 16_384;
  const small = [
    cube(512),
    cube(1024),
    attention(256, 16),
    attention(1024, 4),
    conv(1, 1, 64, 64, 64),
    conv(3, 4, 32, 32, 64),
    groupNorm(1, 256, 256, 64),
    layerNorm(rows, 1024),
    softmax(rows, 1024),
    chain('gateResidual', rows, 2048),
    chain('siluMultiply', rows, 2048),
  ];
  if (quick) return small;
  const heads = kind === 'software' ? 4 : 48;
  return [
    ...small,
    cube(2048),
    ...(kind === 'hardware' ? [cube(4096)] : []),
    attention(4096, heads),
    conv(1, 1, 128, 128, 128),
    conv(3, 5, 48, 48, 128),
    chain('modulate', rows, 2048),
    chain('gelu', rows, 2048),
  ];
}

export const peers: Suite = {
  name: 'peers',
  about: 'plain shapes, beside every peer',
  cases: (machine) =>
    workloads(machine).map((workload) => kernelCase(workload, [...WEBGPU_PEERS, ...CPU_PEERS])),
};
