/**
 * Real spherical harmonics of degree 0 to 3 as WGSL, with the signs of the INRIA code (the Condon-Shortley phase
 * kept in, so the terms of odd m are negative). Sloan, "Stupid Spherical Harmonics Tricks" (2008), appendix A2.
 */
import { SH_C0, type ShDegree, shCoefficients } from './cloud.ts';

const BASIS = [
  `${SH_C0}`,
  '-0.4886025119029199 * y',
  '0.4886025119029199 * z',
  '-0.4886025119029199 * x',
  '1.0925484305920792 * x * y',
  '-1.0925484305920792 * y * z',
  '0.31539156525252005 * (2 * z * z - x * x - y * y)',
  '-1.0925484305920792 * x * z',
  '0.5462742152960396 * (x * x - y * y)',
  '-0.5900435899266435 * y * (3 * x * x - y * y)',
  '2.890611442640554 * x * y * z',
  '-0.4570457994644658 * y * (4 * z * z - x * x - y * y)',
  '0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y)',
  '-0.4570457994644658 * x * (4 * z * z - x * x - y * y)',
  '1.445305721320277 * z * (x * x - y * y)',
  '-0.5900435899266435 * x * (x * x - 3 * y * y)',
];

/**
 * `fn harmonics(splat: u32, direction: vec3f) -> vec3f`, the sum over the coefficients of `splat` in the storage
 * array `sh` of f32, [splats, (degree + 1)^2, 3]; `direction` has length 1.
 */
export function harmonicsWgsl(degree: ShDegree): string {
  const coefficients = shCoefficients(degree);
  const terms = BASIS.slice(0, coefficients).map(
    (basis, k) =>
      `  sum += (${basis}) * vec3f(sh[at + ${3 * k}], sh[at + ${3 * k + 1}], sh[at + ${3 * k + 2}]);`,
  );
  return /* wgsl */ `
fn harmonics(splat: u32, direction: vec3f) -> vec3f {
  let x = direction.x;
  let y = direction.y;
  let z = direction.z;
  let at = splat * ${3 * coefficients};
  var sum = vec3f(0);
${terms.join('\n')}
  return sum;
}`;
}
