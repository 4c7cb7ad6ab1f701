/**
 * The PLY file that 3D Gaussian Splatting's training code writes (and most tools since): one row a splat, scales
 * as logarithms, opacities as logits, quaternions of any length, harmonics of degree 0 to 3 channel by channel.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ByteSource } from '@dwm/core-tensor/files';
import {
  allocateCloud,
  checkedCloud,
  type ShDegree,
  type SplatCloud,
  shCoefficients,
  sigmoid,
} from './cloud.ts';
import { missingFrom, type PlyElement, type PlyHeader } from './ply-header.ts';
import { type PlyColumn, readPlyRows } from './ply-rows.ts';
import type { ReadSplatOptions } from './read-options.ts';

const NEEDED = [
  ...['x', 'y', 'z', 'f_dc_0', 'f_dc_1', 'f_dc_2', 'opacity', 'scale_0', 'scale_1', 'scale_2'],
  ...['rot_0', 'rot_1', 'rot_2', 'rot_3'],
];

/**
 * The degree that an element's f_rest_* properties stand for.
 * @throws InvalidFileError when they are not those of degree 0 to 3.
 */
export function restDegree(file: string, element: PlyElement | undefined): ShDegree {
  const names = Array.from(element?.properties.keys() ?? []).filter((name) => name.startsWith('f_rest_'));
  const degree = [0, 9, 24, 45].indexOf(names.length) as ShDegree | -1;
  if (
    degree === -1 ||
    missingFrom(
      element,
      names.map((_, k) => `f_rest_${k}`),
    ).length > 0
  ) {
    throw new InvalidFileError(
      file,
      `has ${names.length} f_rest properties, expected f_rest_0 to f_rest_8, 23 or 44, or none`,
      { properties: names.length },
    );
  }
  return degree;
}

/** Columns of f_rest_*: coefficient k of channel c is f_rest_[c K + k], K = 3, 8, 15. */
export function restColumns(degree: ShDegree, sh: Float32Array): PlyColumn[] {
  const rest = shCoefficients(degree) - 1;
  const step = 3 * (rest + 1);
  return Array.from({ length: 3 * rest }, (_, i) => {
    const [channel, k] = [Math.floor(i / rest), i % rest];
    return { name: `f_rest_${i}`, into: sh, offset: 3 * (k + 1) + channel, step };
  });
}

/** @throws InvalidFileError for missing properties, too many splats, or no splat whose numbers are whole. */
export async function readSplatPly(
  source: ByteSource,
  header: PlyHeader,
  options: ReadSplatOptions,
): Promise<SplatCloud> {
  const file = source.name;
  const vertices = header.elements.get('vertex');
  const missing = missingFrom(vertices, NEEDED);
  if (!vertices || missing.length > 0) {
    throw new InvalidFileError(
      file,
      `its vertices have no ${missing.join(', ')}: a point cloud or mesh, expected Gaussian splats`,
      { missing },
    );
  }
  const degree = restDegree(file, vertices);
  const cloud = allocateCloud(file, vertices.rows, degree);
  const { positions, scales, rotations, opacities, sh } = cloud;
  const vector = (names: readonly string[], into: Float32Array, step: number): PlyColumn[] =>
    names.map((name, offset) => ({ name, into, offset, step }));
  const columns = [
    ...vector(['x', 'y', 'z'], positions, 3),
    ...vector(['scale_0', 'scale_1', 'scale_2'], scales, 3),
    ...vector(['rot_0', 'rot_1', 'rot_2', 'rot_3'], rotations, 4),
    ...vector(['opacity'], opacities, 1),
    ...vector(['f_dc_0', 'f_dc_1', 'f_dc_2'], sh, 3 * shCoefficients(degree)),
    ...restColumns(degree, sh),
  ];
  await readPlyRows(source, header, new Map([['vertex', columns]]));
  for (let i = 0; i < scales.length; i++) scales[i] = Math.exp(scales[i]);
  for (let i = 0; i < opacities.length; i++) opacities[i] = sigmoid(opacities[i]);
  return checkedCloud(file, cloud, options);
}
