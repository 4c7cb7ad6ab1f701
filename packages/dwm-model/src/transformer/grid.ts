/** Tables of positions over a grid of tokens, in the order frame, row, column. */

/** The video as the transformer sees it. */
export interface TokenGrid {
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
}

/** The whole numbers below `count`. */
export const whole = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/**
 * A table [tokens, width]: the row of a token joins what its frame, its row and its column have.
 * @param parts by frame, by row and by column; each holds as many values for every place.
 * @param order in which they are joined.
 */
export function gridTable(
  parts: Readonly<Record<keyof TokenGrid, readonly Float32Array[]>>,
  order: readonly (keyof TokenGrid)[] = ['frames', 'rows', 'columns'],
): Float32Array {
  const { frames, rows, columns } = parts;
  const width = order.reduce((sum, axis) => sum + parts[axis][0].length, 0);
  const table = new Float32Array(frames.length * rows.length * columns.length * width);
  let at = 0;
  for (const ofFrame of frames) {
    for (const ofRow of rows) {
      for (const ofColumn of columns) {
        const own = { frames: ofFrame, rows: ofRow, columns: ofColumn };
        for (const axis of order) {
          table.set(own[axis], at);
          at += own[axis].length;
        }
      }
    }
  }
  return table;
}

/** Tables of cosines and sines from the angles of every place, each twice in a row, as interleaved pairs want them. */
export function turnTables(angles: Readonly<Record<keyof TokenGrid, readonly (readonly number[])[]>>): {
  cos: Float32Array;
  sin: Float32Array;
} {
  const table = (of: (angle: number) => number) => {
    const axis = (places: readonly (readonly number[])[]) =>
      places.map((own) =>
        Float32Array.from(
          own.flatMap((angle) => [angle, angle]),
          of,
        ),
      );
    return gridTable({ frames: axis(angles.frames), rows: axis(angles.rows), columns: axis(angles.columns) });
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}
