/**
 * A trajectory as a drawing: the camera's path with its viewing direction, and the hands' joints, seen from above
 * and from the side at one scale. Which way is up, the camera says: the world axis that is nearest to its mean "up", as
 * files come with y up and with z up.
 */
import type { RgbImage } from '@dwm/media/node';
import { SIDES, type Trajectory } from '@dwm/renderer';

type Point = readonly [number, number, number];
type Pixel = readonly [number, number];
type Projection = (point: Point) => Pixel;
type Color = readonly [number, number, number];

const BACKGROUND = 24;
const GRID: Color = [44, 44, 44];
const START: Color = [255, 255, 255];
const HANDS: Readonly<Record<'left' | 'right', Color>> = { left: [128, 204, 128], right: [204, 102, 102] };
const MARGIN = 24;
/** Hands and directions of view are drawn about this often along the path. */
const ARROWS = 12;

/** Two panels side by side: from above, and from the side. */
export function drawMap(trajectory: Trajectory, width: number, height: number): RgbImage {
  const image = { data: new Uint8Array(width * height * 3).fill(BACKGROUND), width, height };
  const up = upAxis(trajectory);
  const [first, second] = [0, 1, 2].filter((axis) => axis !== up);
  const points = trajectory.frames.flatMap(({ camera, hands }) => [
    position(camera.matrix),
    ...SIDES.flatMap((side) => wrist(hands[side]?.joints) ?? []),
  ]);
  const range = (axis: number) => {
    const values = points.map((point) => point[axis]);
    const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    return { middle: (low + high) / 2, extent: high - low };
  };
  const panel = width / 2 - 2 * MARGIN;
  const ranges = [0, 1, 2].map(range);
  const [x, y, z] = [ranges[first].extent, ranges[second].extent, ranges[up].extent];
  const longer = x >= y ? first : second;
  // A tenth of a metre at least: a camera that stands still is a point.
  const metres = 1.1 * Math.max(x, y, (Math.max(y, z) * panel) / (height - 2 * MARGIN), 0.1);
  const scale = panel / metres;

  const views = [
    { center: width / 4, along: first, vertical: second, sign: 1 },
    { center: (3 * width) / 4, along: longer, vertical: up, sign: -1 },
  ];
  for (const [number, { center, along, vertical, sign }] of views.entries()) {
    const canvas = new Canvas(image, (number * width) / 2, ((number + 1) * width) / 2);
    const to = (point: Point): Pixel => [
      center + (point[along] - ranges[along].middle) * scale,
      height / 2 + sign * (point[vertical] - ranges[vertical].middle) * scale,
    ];
    drawGrid(canvas, to, {
      along,
      vertical,
      middle: [ranges[along].middle, ranges[vertical].middle],
      metres,
    });
    drawTrajectory(canvas, to, trajectory, 24 / scale);
  }
  return image;
}

function drawTrajectory(canvas: Canvas, to: Projection, { frames }: Trajectory, arrow: number): void {
  const every = Math.max(1, Math.round(frames.length / ARROWS));
  const places = frames.map(({ camera }) => to(position(camera.matrix)));
  for (const side of SIDES) {
    frames.forEach(({ hands }, i) => {
      const joints = hands[side]?.joints;
      if (joints && i % every === 0) drawHand(canvas, to, joints, HANDS[side]);
    });
  }
  frames.forEach(({ camera: { matrix: m } }, i) => {
    const color = ramp(i / Math.max(1, frames.length - 1));
    if (i > 0) canvas.line(places[i - 1], places[i], color);
    if (i % every !== 0) return;
    const [x, y, z] = position(m);
    canvas.line(places[i], to([x - m[2] * arrow, y - m[6] * arrow, z - m[10] * arrow]), color);
    canvas.dot(places[i], 2, color);
  });
  canvas.dot(places[0], 4, START);
}

/** Wrist, then each finger's chain, in WebXR's order of 25. */
const CHAINS = [
  [0, 1, 2, 3, 4],
  ...[5, 10, 15, 20].map((first) => [0, first, first + 1, first + 2, first + 3, first + 4]),
];

function drawHand(canvas: Canvas, to: Projection, joints: Float64Array, color: Color): void {
  const at = (joint: number) => to([joints[7 * joint], joints[7 * joint + 1], joints[7 * joint + 2]]);
  for (const chain of CHAINS)
    for (let i = 1; i < chain.length; i++) canvas.line(at(chain[i - 1]), at(chain[i]), color);
}

/** Lines every 0.1, 1 or 10 metres, so that sizes can be read off. */
function drawGrid(
  canvas: Canvas,
  to: Projection,
  area: { along: number; vertical: number; middle: readonly [number, number]; metres: number },
): void {
  const step = 10 ** Math.floor(Math.log10(area.metres / 2));
  const point = (along: number, vertical: number): Point => {
    const p = [0, 0, 0];
    p[area.along] = along;
    p[area.vertical] = vertical;
    return p as unknown as Point;
  };
  const lines = (middle: number) => {
    const first = Math.ceil((middle - area.metres) / step);
    return Array.from({ length: Math.ceil((2 * area.metres) / step) }, (_, i) => (first + i) * step);
  };
  const [across, down] = area.middle;
  for (const x of lines(across))
    canvas.line(to(point(x, down - area.metres)), to(point(x, down + area.metres)), GRID);
  for (const y of lines(down))
    canvas.line(to(point(across - area.metres, y)), to(point(across + area.metres, y)), GRID);
}

/** Blue at the start, yellow at the end. */
const ramp = (at: number): Color => [60 + 195 * at, 120 + 80 * at, 255 - 205 * at];

const position = (m: ArrayLike<number>): Point => [m[3], m[7], m[11]];

const wrist = (joints: Float64Array | undefined): Point[] | undefined =>
  joints && [[joints[0], joints[1], joints[2]]];

function upAxis({ frames }: Trajectory): number {
  const sum = [1, 5, 9].map((at) => frames.reduce((total, { camera }) => total + camera.matrix[at], 0));
  return sum.reduce((best, value, axis) => (Math.abs(value) > Math.abs(sum[best]) ? axis : best), 1);
}

/** Columns `left` to `right` of an image, to draw in. */
class Canvas {
  readonly #image: RgbImage;
  readonly #left: number;
  readonly #right: number;

  constructor(image: RgbImage, left: number, right: number) {
    this.#image = image;
    this.#left = Math.ceil(left);
    this.#right = Math.floor(right);
  }

  /** One pixel a step of the longer side. */
  line([x0, y0]: readonly [number, number], [x1, y1]: readonly [number, number], color: Color): void {
    const steps = Math.min(1e4, Math.max(1, Math.ceil(Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0)))));
    for (let i = 0; i <= steps; i++)
      this.#set(x0 + ((x1 - x0) * i) / steps, y0 + ((y1 - y0) * i) / steps, color);
  }

  dot([x, y]: readonly [number, number], radius: number, color: Color): void {
    for (let dy = -radius; dy <= radius; dy++)
      for (let dx = -radius; dx <= radius; dx++)
        if (dx * dx + dy * dy <= radius * radius) this.#set(x + dx, y + dy, color);
  }

  #set(x: number, y: number, color: Color): void {
    const [column, row] = [Math.round(x), Math.round(y)];
    if (column < this.#left || column >= this.#right || row < 0 || row >= this.#image.height) return;
    this.#image.data.set(color, (row * this.#image.width + column) * 3);
  }
}
