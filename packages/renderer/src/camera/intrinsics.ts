/**
 * The pinhole camera: focal lengths and principal point in pixels, the origin at the image's upper left corner,
 * pixel centres at + 0.5, y down. No lens distortion; importers refuse files that have some.
 */

/** fx, fy, cx, cy, width and height in pixels. */
export interface Intrinsics {
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  readonly width: number;
  readonly height: number;
}

/** Centred intrinsics from a field of view in radians; square pixels without a vertical one. */
export function fromFieldOfView(
  width: number,
  height: number,
  horizontal: number,
  vertical?: number,
): Intrinsics {
  const fx = width / (2 * Math.tan(horizontal / 2));
  const fy = vertical === undefined ? fx : height / (2 * Math.tan(vertical / 2));
  return { fx, fy, cx: width / 2, cy: height / 2, width, height };
}

/** The same view in a picture `by` times the size, which need not be whole. */
export function enlargedIntrinsics({ fx, fy, cx, cy, width, height }: Intrinsics, by: number): Intrinsics {
  return { fx: by * fx, fy: by * fy, cx: by * cx, cy: by * cy, width: by * width, height: by * height };
}
